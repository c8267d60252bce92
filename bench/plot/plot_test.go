package plot_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/alkdev/hubspoke/bench/plot"
)

var update = flag.Bool("update", false, "write the golden file")

// points are like those of a real run: 10,000 connections, 4,096 in flight.
func points() []plot.Point {
	var all []plot.Point
	for i, name := range []string{"hubspoke", "ws-raw <coder>"} {
		k := 1 + float64(i)
		for _, n := range []int{1, 10, 100, 1_000, 10_000} {
			f := float64(n)
			all = append(all, plot.Point{Series: name, Connections: n, InFlight: plot.InFlight,
				CPU: 8*k + 2*math.Log10(f), Rate: 200_000 / k / (1 + math.Log10(f)), RSS: 15 + f*k*0.011})
		}
		for _, n := range []int{1, 4, 16, 256, 1_024, 4_096} {
			all = append(all, plot.Point{Series: name, Connections: 1, InFlight: n,
				CPU: 4*k + 30/float64(n), Rate: 250_000 / k * float64(n) / float64(n+8)})
		}
	}
	return all
}

func TestGrowth(t *testing.T) {
	var got bytes.Buffer
	if err := plot.Growth(&got, points()...); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "growth.svg")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the drawing is another than %s; look at it with -update", golden)
	}
	wellFormed(t, &got)
}

// Nothing to draw, and one point alone, are drawings too.
func TestGrowthOfLittle(t *testing.T) {
	for _, points := range [][]plot.Point{nil, {{Series: "a", Connections: 1, InFlight: 1, CPU: 3}}} {
		var got bytes.Buffer
		if err := plot.Growth(&got, points...); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(got.Bytes(), []byte("NaN")) || bytes.Contains(got.Bytes(), []byte("Inf")) {
			t.Error("a place is no number")
		}
		wellFormed(t, &got)
	}
}

func wellFormed(t *testing.T, r io.Reader) {
	t.Helper()
	d := xml.NewDecoder(r)
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
