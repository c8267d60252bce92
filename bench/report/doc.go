// Package report makes tables of figures: what a contender costs against the floor of the same repetition.
//
// A cell is the median of all repetitions, with the least and the greatest behind it in brackets, and in bold the
// median of its ratios: the cost divided by the floor's cost in the same repetition. For rates it is the floor's rate
// divided by the contender's, so that below 1 is better throughout.
package report
