package report

import (
	"slices"

	"github.com/alkdev/hubspoke/bench/workload"
)

// Series are the results of one contender at one point, one for each repetition; nil where there is none.
type Series []workload.Result

// Values are a figure in all repetitions that have it.
func (s Series) Values(figure string) []float64 {
	var values []float64
	for _, r := range s {
		if v, ok := r[figure]; ok {
			values = append(values, v)
		}
	}
	return values
}

// Ratios are the costs against the floor's, of those repetitions that have both.
func (s Series) Ratios(floor Series, figure string) []float64 {
	var ratios []float64
	for i := range min(len(s), len(floor)) {
		own, ok := s[i][figure]
		other, has := floor[i][figure]
		if !ok || !has || own <= 0 || other <= 0 {
			continue
		}
		if figure == workload.Rate {
			own, other = other, own
		}
		ratios = append(ratios, own/other)
	}
	return ratios
}

// Median of values; false where there are none.
func Median(values []float64) (float64, bool) {
	if len(values) == 0 {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle], true
	}
	return (sorted[middle-1] + sorted[middle]) / 2, true
}
