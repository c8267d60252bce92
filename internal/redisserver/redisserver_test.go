package redisserver

import (
	"context"
	"slices"
	"testing"

	"github.com/redis/rueidis"

	"github.com/alkdev/hubspoke/internal/redistest"
)

func TestParseVersion(t *testing.T) {
	for version, want := range map[string]int{"7.0.15": 7, "10.1.0": 10, "6": 6, "unstable": 0, "": 0} {
		if got, major := parseVersion("# Server\r\nredis_version:" + version + "\r\nos:Linux\r\n"); major != want || want != 0 && got != version {
			t.Errorf("%q: %q, %d", version, got, major)
		}
	}
	if got, major := parseVersion("no version in here"); got != "" || major != 0 {
		t.Errorf("without a version: %q, %d", got, major)
	}
}

func TestAsk(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "limited", "on", ">pw", "~a*", "&b*", "+@connection", "+eval", "+get", "+publish", "-client|info", "-info")
	connect := func(url string) rueidis.Client {
		o, err := rueidis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		client, err := rueidis.NewClient(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		return client
	}
	ctx := context.Background()
	free, limited := connect(server.URL()+"/3"), connect("redis://limited:pw@"+server.Addr())
	if _, major, err := Version(ctx, free); major < 7 || err != nil {
		t.Errorf("version %d, %v", major, err)
	}
	if n, err := Database(ctx, free); n != 3 || err != nil {
		t.Errorf("database %d, %v", n, err)
	}
	if version, _, err := Version(ctx, limited); version != "" || err != nil {
		t.Errorf("without the right to INFO: version %q, %v", version, err)
	}
	if n, err := Database(ctx, limited); n != 0 || err != nil {
		t.Errorf("without the right to CLIENT INFO: database %d, %v", n, err)
	}
	commands := [][]string{{"GET", "a"}, {"GET", "b"}, {"SET", "a", "1"}, {"PUBLISH", "b", "x"}, {"PUBLISH", "a", "x"}, {"NO.SUCH"}}
	denied, err := Denied(ctx, limited, commands)
	if want := []string{"GET b", "SET a 1", "PUBLISH a x"}; err != nil || !slices.Equal(denied, want) {
		t.Errorf("denied: %q, %v, want %q", denied, err, want)
	}
	server.Kill()
	if _, err := Database(ctx, limited); err == nil {
		t.Error("an error of the connection was taken for a refusal")
	}
}
