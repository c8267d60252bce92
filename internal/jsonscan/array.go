package jsonscan

// Array is a cursor over the elements of one JSON array. It works as Object
// does: it validates as it goes, points into the data given to OpenArray, and
// may not be used concurrently.
type Array struct {
	data  []byte
	value []byte
	at    int
	state objectState
	err   error
}

// OpenArray returns a cursor before the first element of the array in data,
// which may have white space around it.
func OpenArray(data []byte) Array { return Array{data: data} }

// Next moves to the next element and reports whether there is one. It is false
// after the last element and after an error, for good.
func (a *Array) Next() bool {
	i := skipSpace(a.data, a.at)
	switch a.state {
	case atStart:
		if i >= len(a.data) || a.data[i] != '[' {
			return a.fail(i, failArray)
		}
		i = skipSpace(a.data, i+1)
		if i < len(a.data) && a.data[i] == ']' {
			return a.finish(i + 1)
		}
	case atMember:
		if i >= len(a.data) {
			return a.fail(len(a.data), failEnd)
		}
		if a.data[i] == ']' {
			return a.finish(i + 1)
		}
		if a.data[i] != ',' {
			return a.fail(i, failComma)
		}
		i = skipSpace(a.data, i+1)
	case atEnd:
		return false
	}
	end, fail := value(a.data, i, MaxDepth-1)
	if fail != fine {
		return a.fail(end, fail)
	}
	a.value = a.data[i:end]
	a.at, a.state = end, atMember
	return true
}

func (a *Array) finish(i int) bool {
	if i = skipSpace(a.data, i); i != len(a.data) {
		return a.fail(i, failTrail)
	}
	a.state, a.value = atEnd, nil
	return false
}

func (a *Array) fail(i int, fail failure) bool {
	a.state, a.value = atEnd, nil
	a.err = fail.at(i)
	return false
}

// Value is the raw JSON of the current element, without surrounding white space.
func (a *Array) Value() []byte { return a.value }

// Err is nil if all of the data was one JSON array. It is of use after Next has
// returned false, and then a *SyntaxError.
func (a *Array) Err() error { return a.err }
