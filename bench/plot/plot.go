// Package plot draws how calls and memory grow with the number of connections and of calls in flight, as SVG: a small
// text file whose labels stay text, and whose colours can be read on light and dark pages.
package plot

import (
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strings"
)

// Point is one measurement of the growth runs.
type Point struct {
	// Series is what was measured; points of one series are joined.
	Series string
	// Connections and InFlight are where it was measured.
	Connections, InFlight int
	// CPU is microseconds of both ends for a call, Rate calls in a second, RSS the server's MiB. What is 0 is left out.
	CPU, Rate, RSS float64
}

// InFlight is the number of calls in flight while connections grow. While calls in flight grow there is one connection.
const InFlight = 64

// Growth draws two panels: what a call costs and how many there are in a second, each over connections and over calls
// in flight; and the server's memory over connections. All axes are logarithmic.
func Growth(w io.Writer, points ...Point) error {
	d := &drawing{series: seriesOf(points)}
	overConnections := axis{"connections, 64 calls in flight", func(p Point) (int, bool) { return p.Connections, p.InFlight == InFlight }}
	overInFlight := axis{"calls in flight, 1 connection", func(p Point) (int, bool) { return p.InFlight, p.Connections == 1 }}
	cpu := value{"CPU of a call, both ends, µs", func(p Point) float64 { return p.CPU }}
	rate := value{"calls/s", func(p Point) float64 { return p.Rate }}
	rss := value{"memory of the server, clients idle, MiB", func(p Point) float64 { return p.RSS }}
	d.open()
	d.heading(0, "What a call costs")
	d.chart(0, 0, overConnections, cpu, points)
	d.chart(1, 0, overInFlight, cpu, points)
	d.chart(0, 1, overConnections, rate, points)
	d.chart(1, 1, overInFlight, rate, points)
	d.heading(2, "What connections hold")
	d.chart(0, 2, overConnections, rss, points)
	d.legend()
	d.printf("</svg>\n")
	_, err := io.WriteString(w, d.out.String())
	return err
}

// axis says where a point is on the horizontal axis, and whether it belongs there.
type axis struct {
	name string
	of   func(Point) (int, bool)
}

// value is what the vertical axis shows.
type value struct {
	name string
	of   func(Point) float64
}

// seriesOf are the names in the order in which they come first.
func seriesOf(points []Point) []string {
	var names []string
	for _, p := range points {
		if !slices.Contains(names, p.Series) {
			names = append(names, p.Series)
		}
	}
	return names
}

// The measures of the drawing, in pixels.
const (
	width, height         = 860, 830
	chartWidth            = 330
	chartHeight           = 170
	left, top             = 64, 62
	columnStep, rowStep   = 420, 245
	headingGap, secondGap = 34, 40 // above a chart; more above the second heading
)

// drawing is the text of the picture so far.
type drawing struct {
	out    strings.Builder
	series []string
}

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(&d.out, format, args...) }

// open writes what is before the charts. Colours are mid tones, and grey is half transparent: both stand out from white
// and from black. Series differ in shape too.
func (d *drawing) open() {
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12">
<title>Growth with connections and calls in flight</title>
<style>
text{fill:#777}
.h{font-size:15px;font-weight:bold}
.g{stroke:#888;stroke-opacity:.3;fill:none}
.l{fill:none;stroke-width:2}
.s0{stroke:#2f81d6;fill:#2f81d6}.s1{stroke:#e07b1a;fill:#e07b1a}.s2{stroke:#2a9d6e;fill:#2a9d6e}.s3{stroke:#b65fc4;fill:#b65fc4}
.l.s0,.l.s1,.l.s2,.l.s3{fill:none}
</style>
`, width, height, width, height)
}

// place is the upper left corner of a chart.
func place(column, row int) (x, y float64) {
	y = top + float64(row)*rowStep
	if row > 1 {
		y += secondGap
	}
	return left + float64(column)*columnStep, y
}

func (d *drawing) heading(row int, text string) {
	_, y := place(0, row)
	d.printf(`<text class="h" x="16" y="%.0f">%s</text>`+"\n", y-headingGap, html.EscapeString(text))
}

// chart draws the points that belong to an axis.
func (d *drawing) chart(column, row int, a axis, v value, points []Point) {
	lines := make([][][2]float64, len(d.series))
	var xs, ys []float64
	for _, p := range points {
		x, ok := a.of(p)
		y := v.of(p)
		if !ok || x < 1 || y <= 0 {
			continue
		}
		i := slices.Index(d.series, p.Series)
		lines[i] = append(lines[i], [2]float64{float64(x), y})
		xs, ys = append(xs, float64(x)), append(ys, y)
	}
	px, py := place(column, row)
	horizontal, vertical := scaleOf(xs, px, px+chartWidth), scaleOf(ys, py+chartHeight, py)
	d.frame(px, py, a.name, v.name, horizontal, vertical)
	for i, line := range lines {
		slices.SortFunc(line, func(a, b [2]float64) int { return int(math.Copysign(1, a[0]-b[0])) })
		var path strings.Builder
		for _, p := range line {
			fmt.Fprintf(&path, " %.1f,%.1f", horizontal.at(p[0]), vertical.at(p[1]))
		}
		if path.Len() == 0 {
			continue
		}
		d.printf(`<polyline class="l s%d" points="%s"/>`+"\n", i%4, path.String()[1:])
		for _, p := range line {
			d.marker(i, horizontal.at(p[0]), vertical.at(p[1]), fmt.Sprintf("%s: %s", d.series[i], short(p[1])))
		}
	}
}

// marker draws one point; what it stands for shows when a pointer rests on it.
func (d *drawing) marker(series int, x, y float64, says string) {
	says = html.EscapeString(says)
	if series%2 == 0 {
		d.printf(`<circle class="s%d" cx="%.1f" cy="%.1f" r="3.5"><title>%s</title></circle>`+"\n", series%4, x, y, says)
		return
	}
	d.printf(`<rect class="s%d" x="%.1f" y="%.1f" width="6" height="6"><title>%s</title></rect>`+"\n", series%4, x-3, y-3, says)
}

// frame draws axes with their ticks and names.
func (d *drawing) frame(x, y float64, xName, yName string, horizontal, vertical scale) {
	d.printf(`<rect class="g" x="%.0f" y="%.0f" width="%d" height="%d"/>`+"\n", x, y, chartWidth, chartHeight)
	for _, t := range horizontal.ticks() {
		at := horizontal.at(t)
		d.printf(`<path class="g" d="M%.1f %.0fV%.0f"/><text x="%.1f" y="%.0f" text-anchor="middle">%s</text>`+"\n",
			at, y, y+chartHeight, at, y+chartHeight+16, short(t))
	}
	for _, t := range vertical.ticks() {
		at := vertical.at(t)
		d.printf(`<path class="g" d="M%.0f %.1fH%.0f"/><text x="%.0f" y="%.1f" text-anchor="end">%s</text>`+"\n",
			x, at, x+chartWidth, x-6, at+4, short(t))
	}
	d.printf(`<text x="%.0f" y="%.0f" text-anchor="middle">%s</text>`+"\n", x+chartWidth/2, y+chartHeight+34, html.EscapeString(xName))
	d.printf(`<text x="%.0f" y="%.0f">%s</text>`+"\n", x, y-8, html.EscapeString(yName))
}

// legend stands where a sixth chart would.
func (d *drawing) legend() {
	x, y := place(1, 2)
	for i, name := range d.series {
		at := y + 20 + float64(i)*24
		d.printf(`<path class="l s%d" d="M%.0f %.0fh32"/>`, i%4, x, at)
		d.marker(i, x+16, at, name)
		d.printf(`<text x="%.0f" y="%.0f">%s</text>`+"\n", x+42, at+4, html.EscapeString(name))
	}
	d.printf(`<text x="%.0f" y="%.0f">All axes are logarithmic.</text>`+"\n", x, y+chartHeight)
}
