package redisbackplane

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/hub"
)

// recordLife is how long a key of the directory outlives its last writing, for
// those of hubs that died; refreshPeriod is how often a hub that lives writes its own again.
const (
	recordLife    = 24 * time.Hour
	refreshPeriod = recordLife / 4
)

// stored is a record as it stands in Redis: a hash.
type stored struct {
	hub.Record
	incarnation string
}

var errNoRecord = errors.New("not a record")

// parseGeneration reads a generation. One that is no whole number, or more than a day ahead of Redis' clock,
// is garbage: the next one would have to be higher still.
func parseGeneration(text string, now int64) (int64, error) {
	g, err := strconv.ParseInt(text, 10, 64)
	if err != nil || g < 0 || g > now+recordLife.Milliseconds() {
		return 0, errNoRecord
	}
	return g, nil
}

// parseRecord reads the hash; nothing at all is no record and no error. now is Redis' clock.
func parseRecord(spokeID string, m map[string]string, now int64) (rec stored, ok bool, err error) {
	if len(m) == 0 || m["gone"] != "" && m["hub"] == "" {
		return rec, false, nil
	}
	rec.SpokeID, rec.HubID, rec.incarnation = spokeID, m["hub"], m["inc"]
	rec.IdentityID, rec.InstanceID = m["id"], m["inst"]
	rec.Generation, err = parseGeneration(m["gen"], now)
	if err != nil || rec.HubID == "" || rec.incarnation == "" {
		return stored{}, false, errNoRecord
	}
	rec.Attempt, _ = strconv.ParseInt(m["att"], 10, 64) // 0 where it is none
	return rec, true, nil
}

// What claimScript answers first.
const (
	claimDone = iota
	claimHeld
	claimSuperseded
	claimElsewhere
	claimNewerHere
	claimLate
)

// outcome is the answer of claimScript.
type outcome struct {
	status     int64
	generation int64  // of the record that is there now
	other      stored // the record that conflicts with it, or was replaced, without its SpokeID; HubID "" for none
	garbage    bool
	clock      int64 // Redis', in milliseconds
}

func parseOutcome(r rueidis.RedisResult) (o outcome, err error) {
	list, err := r.ToArray()
	if err != nil {
		return o, err
	}
	if len(list) != 9 {
		return o, errNoRecord
	}
	o.status, err = list[0].AsInt64()
	if err != nil {
		return o, err
	}
	text := make([]string, 0, 6)
	for _, m := range list[1:7] {
		s, err := m.ToString()
		if err != nil {
			return o, err
		}
		text = append(text, s)
	}
	o.generation, _ = strconv.ParseInt(text[0], 10, 64) // the script has made it
	attempt, _ := strconv.ParseInt(text[3], 10, 64)
	o.other = stored{hub.Record{HubID: text[4], Generation: o.generation, IdentityID: text[1],
		InstanceID: text[2], Attempt: attempt}, text[5]}
	garbage, err := list[7].AsInt64()
	if err != nil {
		return o, err
	}
	o.garbage = garbage == 1
	o.clock, err = list[8].AsInt64()
	return o, err
}

// member is a hub in a set, with the life for which it said so: what a
// former life said does not count, so it needs no fence to be taken out.
type member struct{ incarnation, hubID string }

func (m member) String() string { return m.incarnation + ":" + m.hubID }

func parseMember(s string) (m member, ok bool) {
	m.incarnation, m.hubID, ok = strings.Cut(s, ":")
	return m, ok && m.incarnation != "" && m.hubID != ""
}
