package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/alkdev/hubspoke/bench/plot"
	"github.com/alkdev/hubspoke/bench/report"
	"github.com/alkdev/hubspoke/bench/workload"
)

// draw writes the growth runs as a picture.
func draw(name string, d report.Data) (err error) {
	b := growth()
	var points []plot.Point
	for _, r := range b.rows() {
		for _, p := range b.points {
			series := d.Series[report.Key{Workload: b.name, Row: r.name, Point: p.name}]
			if len(series) == 0 {
				continue
			}
			drawn := plot.Point{Series: r.name, Connections: p.full.Connections, InFlight: p.full.InFlight}
			drawn.CPU, _ = report.Median(series.Values(workload.CPU))
			drawn.Rate, _ = report.Median(series.Values(workload.Rate))
			drawn.RSS, _ = report.Median(series.Values(workload.ServerRSS))
			points = append(points, drawn)
		}
	}
	if len(points) == 0 {
		_, err := fmt.Fprintln(os.Stderr, "bench: no picture, since the workload "+growthName+" was not measured")
		return err
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(plot.Growth(file, points...), file.Close())
}
