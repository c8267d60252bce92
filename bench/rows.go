package main

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/alkdev/hubspoke/bench/contender"
	"github.com/alkdev/hubspoke/bench/report"
	"github.com/alkdev/hubspoke/bench/workload"
)

// row is a contender with a setup, as it stands in a table.
type row struct {
	name      string
	contender contender.Contender
	setup     contender.Setup
	floor     string // empty is the table's
}

// rows gives the floor first, then the contenders that can do the workload, each with its variants behind it.
func (b benchmark) rows() []row {
	var rows []row
	for _, c := range contenders() {
		if !b.can(c) {
			continue
		}
		rows = append(rows, row{name: c.Name, contender: c})
		for _, v := range b.variants {
			if v.contender == c.Name {
				rows = append(rows, row{name: v.row, contender: c, setup: v.setup, floor: v.floor})
			}
		}
	}
	i := slices.IndexFunc(rows, func(r row) bool { return r.name == b.floor })
	floor := rows[i]
	return slices.Insert(slices.Delete(rows, i, i+1), 0, floor)
}

// matching are the rows that the expression names, and the floors that they need.
func (b benchmark) matching(names *regexp.Regexp) []row {
	needed := map[string]bool{b.floor: true}
	all := b.rows()
	for _, r := range all {
		if names.MatchString(r.name) {
			needed[r.name] = true
			needed[r.floor] = true
		}
	}
	return slices.DeleteFunc(all, func(r row) bool { return !needed[r.name] })
}

// table is what is shown of the rows.
func (b benchmark) table(rows []row) report.Table {
	t := report.Table{Workload: b.name, Title: b.title, Columns: b.columns, Floor: b.floor}
	for _, r := range rows {
		t.Rows = append(t.Rows, report.Row{Name: r.name, Floor: r.floor})
	}
	return t
}

// find gives what a worker is told to measure.
func find(workloadName, pointName, rowName string, quick bool) (benchmark, row, workload.Params, error) {
	i := slices.IndexFunc(benchmarks(), func(b benchmark) bool { return b.name == workloadName })
	if i < 0 {
		return benchmark{}, row{}, workload.Params{}, fmt.Errorf("there is no workload %q", workloadName)
	}
	b := benchmarks()[i]
	rows := b.rows()
	i = slices.IndexFunc(rows, func(r row) bool { return r.name == rowName })
	if i < 0 {
		return benchmark{}, row{}, workload.Params{}, fmt.Errorf("%s has no row %q", b.name, rowName)
	}
	r := rows[i]
	i = slices.IndexFunc(b.points, func(p point) bool { return p.name == pointName })
	if i < 0 {
		return benchmark{}, row{}, workload.Params{}, fmt.Errorf("%s has no point %q", b.name, pointName)
	}
	if quick {
		return b, r, b.points[i].quick, nil
	}
	return b, r, b.points[i].full, nil
}
