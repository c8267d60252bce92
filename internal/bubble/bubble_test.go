package bubble

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// Under the race detector this crashed the test program in one of three runs on two processors.
func TestTimersThatAreDueAtOnce(t *testing.T) {
	Test(t, func(*testing.T) {
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 5_000 {
					<-time.NewTimer(0).C
					done := make(chan struct{})
					time.AfterFunc(time.Millisecond, func() { close(done) })
					<-done
				}
			})
		}
		group.Wait()
	})
}

func TestProcessorsComeBackWithTheLast(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	var p processors
	p.enter()
	p.enter()
	p.leave()
	if got := runtime.GOMAXPROCS(0); got != 1 {
		t.Errorf("%d processors with one inside, want 1", got)
	}
	p.leave()
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("%d processors with nobody inside, want %d", got, before)
	}
}
