package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Key tells the series of a run apart.
type Key struct {
	Workload, Row, Point string
}

// Data are all series of a run, and what failed.
type Data struct {
	Series map[Key]Series
	// Failed has the error of a point that could not be measured; there is then no series of it.
	Failed map[Key]string
}

// Row is one line of a table.
type Row struct {
	Name string
	// Floor is the row that this one is measured against; empty is the table's floor.
	Floor string
}

// Column is one figure at one point.
type Column struct {
	Head, Point, Figure string
	// Bare leaves the range and the ratio out.
	Bare bool
}

// Table is one workload's.
type Table struct {
	Workload, Title string
	Columns         []Column
	// Floor is the name of the row that the others are measured against.
	Floor string
	Rows  []Row
}

// Markdown is the table as GitHub shows it. Rows that failed come last, with their errors.
func (t Table) Markdown(d Data) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n| contender |", t.Title)
	for _, c := range t.Columns {
		fmt.Fprintf(&b, " %s |", c.Head)
	}
	fmt.Fprintf(&b, "\n|---|%s\n", strings.Repeat("--:|", len(t.Columns)))
	for _, row := range t.Rows {
		if cells, found := t.cells(row, d); found {
			fmt.Fprintf(&b, "| %s | %s |\n", row.Name, strings.Join(cells, " | "))
		}
	}
	for _, row := range t.Rows {
		for _, point := range t.points() {
			if text, failed := d.Failed[Key{t.Workload, row.Name, point}]; failed {
				fmt.Fprintf(&b, "| %s | **failed** at %s: %s |%s\n", row.Name, point, oneLine(text), strings.Repeat(" |", len(t.Columns)-1))
			}
		}
	}
	return b.String()
}

// points are those of the columns, each once.
func (t Table) points() []string {
	var points []string
	for _, c := range t.Columns {
		if !slices.Contains(points, c.Point) {
			points = append(points, c.Point)
		}
	}
	return points
}

// cells of a row, and whether any of them has a figure.
func (t Table) cells(row Row, d Data) (cells []string, found bool) {
	floorName := row.Floor
	if floorName == "" {
		floorName = t.Floor
	}
	for _, c := range t.Columns {
		own := d.Series[Key{t.Workload, row.Name, c.Point}]
		text := cell(c, own, d.Series[Key{t.Workload, floorName, c.Point}])
		found = found || text != missing
		cells = append(cells, text)
	}
	return cells, found
}

const missing = "–"

func cell(c Column, own, floor Series) string {
	values := own.Values(c.Figure)
	median, ok := Median(values)
	if !ok {
		return missing
	}
	if c.Bare {
		return Number(median)
	}
	text := fmt.Sprintf("%s (%s..%s)", Number(median), Number(slices.Min(values)), Number(slices.Max(values)))
	if ratio, ok := Median(own.Ratios(floor, c.Figure)); ok {
		text += fmt.Sprintf(" **x%.2f**", ratio)
	}
	return text
}

// Number has three digits that mean something, and k from ten thousand.
func Number(v float64) string {
	switch {
	case v >= 999_500:
		return significant(v/1e6) + "M"
	case v >= 10_000:
		return significant(v/1e3) + "k"
	}
	return significant(v)
}

func significant(v float64) string {
	decimals := 2
	switch size := math.Abs(v); {
	case size >= 99.95:
		decimals = 0
	case size >= 9.995:
		decimals = 1
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// oneLine makes an error fit into a cell.
func oneLine(text string) string {
	text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", "\\|")
	if runes := []rune(text); len(runes) > 300 {
		text = string(runes[:300]) + "…"
	}
	return text
}
