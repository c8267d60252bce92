package redistest

import (
	"strings"
	"testing"
	"time"
)

func TestKillAndRestart(t *testing.T) {
	s := Start(t)
	s.Do("SET", "k", "v")
	s.Kill()
	if _, err := s.Try("PING"); err == nil {
		t.Fatal("a killed server answered")
	}
	s.Kill() // again does nothing
	s.Restart()
	if got := s.Do("GET", "k"); got != "v" {
		t.Errorf("after a restart k is %q", got)
	}
	s.RestartEmpty()
	if got := s.Do("EXISTS", "k"); got != "0" {
		t.Errorf("after an empty restart k exists: %q", got)
	}
}

func TestPassword(t *testing.T) {
	s := Start(t, Args("--requirepass", "secret"))
	if got := s.Do("PING"); got != "PONG" {
		t.Errorf("PING: %q", got)
	}
}

func TestReplies(t *testing.T) {
	s := Any(t)
	if got := s.Do("EVAL", "return {1,'two',false,{'three'}}", "0"); got != "1\ntwo\n\nthree" {
		t.Errorf("a list came back as %q", got)
	}
	if _, err := s.Try("NOSUCH"); err == nil || !strings.HasPrefix(err.Error(), "ERR") {
		t.Errorf("an unknown command: %v", err)
	}
}

func TestCluster(t *testing.T) {
	c := StartCluster(t, 3)
	slot := c.Slot("a")
	from := c.Owner(slot)
	to := (from + 1) % 3
	if _, err := c.Nodes()[from].Try("GET", "a"); err != nil {
		t.Fatalf("the owner of slot %d: %v", slot, err)
	}
	c.MoveSlot(slot, to)
	if _, err := c.Nodes()[to].Try("GET", "a"); err != nil {
		t.Fatalf("the new owner of slot %d: %v", slot, err)
	}
	c.Nodes()[from].Kill()
	c.Nodes()[from].Restart()
	c.WaitOK()
}

func TestProxy(t *testing.T) {
	s := Start(t)
	p := NewProxy(t, s.Addr())
	c, err := dial(p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if _, err := c.do("ECHO", "marked"); err != nil {
		t.Fatal(err)
	}

	if n := p.Stall(ToClient, "marked"); n != 1 {
		t.Fatalf("%d connections were stalled", n)
	}
	other, err := dial(p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	if _, err := other.do("PING"); err != nil {
		t.Fatalf("another connection was stalled: %v", err)
	}
	answered := make(chan error, 1)
	go func() { _, err := c.do("PING"); answered <- err }()
	select {
	case err := <-answered:
		t.Fatalf("an answer came through a stalled direction (%v)", err)
	case <-time.After(50 * time.Millisecond):
	}
	p.Heal()
	if err := <-answered; err != nil {
		t.Fatal(err)
	}

	p.Delay(20 * time.Millisecond)
	begin := time.Now()
	if _, err := c.do("PING"); err != nil || time.Since(begin) < 40*time.Millisecond {
		t.Errorf("a delayed answer: %v after %s", err, time.Since(begin))
	}
	p.Refuse()
	if _, err := c.do("PING"); err == nil {
		t.Error("an answer came through a cut connection")
	}
	Poll(t, "the connections to end", func() bool { return p.Connections() == 0 })
}
