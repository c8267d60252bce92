package archtest

import "testing"

// A rule that finds nothing anywhere may be a rule that cannot find. These tests give each what it must refuse.

func mustParse(t *testing.T, path, text string) *goFile {
	t.Helper()
	file, err := parseText(path, text)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSleepIsFound(t *testing.T) {
	for name, text := range map[string]string{
		"plain":    "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }\n",
		"renamed":  "package p\nimport clock \"time\"\nfunc f() { clock.Sleep(1) }\n",
		"as value": "package p\nimport \"time\"\nvar f = time.Sleep\n",
	} {
		if found := sleeps(mustParse(t, "p/p.go", text)); len(found) != 1 {
			t.Errorf("%s: found %v, want one line", name, found)
		}
	}
	other := mustParse(t, "p/p.go", "package p\nimport \"time\"\nvar d time.Duration\nfunc f(c clock) { c.Sleep(d) }\n")
	if found := sleeps(other); len(found) != 0 {
		t.Errorf("another Sleep was taken for time.Sleep: %v", found)
	}
}

func TestBubbleIsFound(t *testing.T) {
	text := "package p\nimport \"testing/synctest\"\nfunc f(t T) { synctest.Test(t, g); synctest.Wait() }\n"
	if found := bubbles(mustParse(t, "p/p_test.go", text)); len(found) != 1 {
		t.Errorf("found %v, want one line", found)
	}
}

func TestSkipIsFound(t *testing.T) {
	for name, text := range map[string]string{
		"test":   "package p\nimport \"testing\"\nfunc TestA(t *testing.T) { t.Skip() }\n",
		"suite":  "package p\nimport \"testing\"\nfunc run(tb testing.TB) { tb.Skipf(\"no\") }\n",
		"fuzz":   "package p\nimport \"testing\"\nfunc FuzzA(f *testing.F) { f.Fuzz(func(t *testing.T, b []byte) { t.SkipNow() }) }\n",
		"struct": "package p\nimport \"testing\"\ntype s struct{ t *testing.T }\nfunc (x *s) f() { x.t.Skip() }\n",
	} {
		if found := skips(mustParse(t, "p/p_test.go", text)); len(found) != 1 {
			t.Errorf("%s: found %v, want one line", name, found)
		}
	}
	other := mustParse(t, "p/p_test.go", "package p\nimport \"testing\"\nfunc TestA(t *testing.T) { s.Skip(); t.Log() }\n")
	if found := skips(other); len(found) != 0 {
		t.Errorf("another Skip was taken for a test's: %v", found)
	}
}

func TestMachinePathIsFound(t *testing.T) {
	for _, text := range []string{"/home/anna/x", "see /root/y", `"/home/b/z"`, "open(/Users/b/c)", "cd /root/x"} {
		if !machinePath.MatchString(text) {
			t.Errorf("not found: %s", text)
		}
	}
	for _, text := range []string{"https://example.com/home/x", "a/home/b", "/homes/1", "./root/x"} {
		if machinePath.MatchString(text) {
			t.Errorf("found, but it is none: %s", text)
		}
	}
}

func TestImportRule(t *testing.T) {
	for _, c := range []struct {
		file, imported string
		want           bool
	}{
		{"hub/hub.go", "net/http", true},
		{"hub/hub.go", modulePath + "/internal/peer", true},
		{"hub/hub.go", modulePath + "/spoke", false},
		{"spoke/spoke.go", modulePath + "/hub", false},
		{"hub/hub.go", "github.com/redis/rueidis", false},
		{"hub/hub.go", "golang.org/x/sync/errgroup", true},
		{"hub/hub.go", websocketModule, false},
		{"pending/map.go", uuidModule, false},
		{"pending/map.go", modulePath + "/internal/jsonscan", false},
		{"transport/dial.go", websocketModule, true},
		{"transport/dial.go", "github.com/coder/websocketx", false},
		{"examples/hub-spoke/main.go", modulePath + "/hub", true},
		{"examples/hub-spoke/main.go", "github.com/other/thing", false},
	} {
		file := mustParse(t, c.file, "package p\n")
		if got := mayImport(file, allowed[file.dir()], c.imported); got != c.want {
			t.Errorf("%s imports %s: allowed %v, want %v", c.file, c.imported, got, c.want)
		}
	}
}
