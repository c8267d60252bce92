// Command bench measures hubspoke side by side with floors (the least that could do the same) and with peers, all by
// the same code.
//
//	go run . -quick                          all workloads in a few minutes, to see that nothing has broken
//	go run . -json run.json -markdown run.md a full run
//	go run . -workloads W1,W2 -contenders 'ws-raw|hubspoke' -repeat 9
//	go run . -workloads growth -plot growth.svg
//
// W5 needs a Redis that nobody else uses: -redis, or REDIS_URL, or else a redis-server on the PATH is started for the run.
//
// Every measurement is a process of its own. A repetition measures all contenders, each time in another order, and ratios
// are taken within a repetition: that is what holds on a machine that others use, too. The exit code is 1 when a
// contender failed.
//
// One measurement alone, for a profile, prints its figures as JSON:
//
//	go run . worker -workload W1 -point '128 B x64' -row hubspoke -duration 5s -cpuprofile cpu.out
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"

	"github.com/alkdev/hubspoke/bench/process"
)

// redisVariable is where the Redis is told, also to the processes of measurements: an argument could be seen by everybody,
// with the password in it.
const redisVariable = "REDIS_URL"

// errFailed says that a contender failed, which has been printed.
var errFailed = errors.New("contenders failed")

func main() {
	process.Main(findServer)
	os.Exit(run(os.Args[1:]))
}

// run gives the exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if len(args) > 0 && args[0] == "worker" {
		err = runWorker(ctx, args[1:])
	} else {
		err = runAll(ctx, args)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 2
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// settings are what the flags say.
type settings struct {
	quick      bool
	repeat     int
	workloads  []string
	contenders *regexp.Regexp
	json       string
	markdown   string
	plot       string
	redis      string
	// command is what was typed, without what only this machine knows.
	command string
}

func parse(args []string) (settings, error) {
	s := settings{redis: os.Getenv(redisVariable)}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.BoolVar(&s.quick, "quick", false, "few and short repetitions, with fewer connections")
	f.IntVar(&s.repeat, "repeat", 0, "number of repetitions; 0 is 5, or 2 with -quick")
	names := f.String("workloads", "", "comma-separated names, of "+strings.Join(workloadNames(true), ", ")+
		"; empty is all, "+growthName+" only with -plot")
	pattern := f.String("contenders", "", "regular expression for the names of rows; floors are measured always")
	f.StringVar(&s.json, "json", "", "file for all figures of all repetitions")
	f.StringVar(&s.markdown, "markdown", "", "file for what is printed")
	f.StringVar(&s.plot, "plot", "", "file for a picture (SVG) of the workload "+growthName)
	f.Func("redis", "URL of a Redis for W5, such as redis://host:port; default is the variable "+redisVariable+", or one that is started",
		func(url string) error { s.redis = url; return nil })
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	if s.repeat < 0 {
		return s, fmt.Errorf("-repeat: %d is less than none", s.repeat)
	}
	if s.repeat == 0 {
		s.repeat = 5
		if s.quick {
			s.repeat = 2
		}
	}
	s.command = "bench"
	f.Visit(func(fl *flag.Flag) {
		switch fl.Name {
		case "json", "markdown", "plot", "redis":
		default:
			if fl.Value.String() == "true" {
				s.command += " -" + fl.Name
			} else {
				s.command += fmt.Sprintf(" -%s '%s'", fl.Name, fl.Value)
			}
		}
	})
	var err error
	if s.contenders, err = regexp.Compile(*pattern); err != nil {
		return s, fmt.Errorf("-contenders: %w", err)
	}
	s.workloads, err = chosen(*names, s.plot != "")
	return s, err
}

// chosen gives the names of the workloads that are to run, in the order of the table. Those of an empty list
// have the growth among them where it is to be drawn.
func chosen(list string, drawn bool) ([]string, error) {
	if list == "" {
		return workloadNames(drawn), nil
	}
	all := workloadNames(true)
	wanted := strings.Split(list, ",")
	for _, name := range wanted {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("-workloads: there is no %q, only %s", name, strings.Join(all, ", "))
		}
	}
	return slices.DeleteFunc(all, func(name string) bool { return !slices.Contains(wanted, name) }), nil
}
