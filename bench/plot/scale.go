package plot

import (
	"math"
	"strconv"
)

// scale puts values between low and high, which are powers of ten or what is next to them, on a line of pixels.
type scale struct {
	low, high float64 // logarithms to base 10
	from, to  float64 // pixels
}

// scaleOf takes in all the values, with a little room at both ends.
func scaleOf(values []float64, from, to float64) scale {
	if len(values) == 0 {
		return scale{0, 1, from, to}
	}
	s := scale{math.Inf(1), math.Inf(-1), from, to}
	for _, v := range values {
		s.low, s.high = min(s.low, math.Log10(v)), max(s.high, math.Log10(v))
	}
	// Where all is nearly the same a small difference must not look like a cliff.
	if spread := s.high - s.low; spread < 1 {
		s.low, s.high = s.low-(1-spread)/2, s.high+(1-spread)/2
	}
	room := (s.high - s.low) * 0.06
	s.low, s.high = s.low-room, s.high+room
	return s
}

// at is the place of a value.
func (s scale) at(v float64) float64 {
	return s.from + (math.Log10(v)-s.low)/(s.high-s.low)*(s.to-s.from)
}

// ticks are the powers of ten in the scale, and where these are few also their doubles and fivefolds.
func (s scale) ticks() []float64 {
	steps := []float64{1}
	if s.high-s.low < 2.2 {
		steps = []float64{1, 2, 5}
	}
	var found []float64
	for power := math.Floor(s.low); power <= s.high; power++ {
		for _, step := range steps {
			v := step * math.Pow(10, power)
			if log := math.Log10(v); log >= s.low && log <= s.high {
				found = append(found, v)
			}
		}
	}
	return found
}

// short writes a value with as many digits as an axis needs.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 3, 64) + "M"
	case v >= 1e3:
		return strconv.FormatFloat(v/1e3, 'g', 3, 64) + "k"
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
