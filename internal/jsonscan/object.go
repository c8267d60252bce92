package jsonscan

// Object is a cursor over the members of one JSON object, in the order in which
// they stand, repeated names included:
//
//	o := jsonscan.Open(data)
//	for o.Next() {
//		switch string(o.Name()) {
//		case "type": …
//		}
//	}
//	err := o.Err()
//
// It validates as it goes, so only a nil Err says that all of data was an
// object. It does not allocate unless a name holds an escape or the data is
// invalid. Name and Value point into the data given to Open. An Object may not
// be used concurrently.
type Object struct {
	data    []byte
	name    []byte
	value   []byte
	at      int
	state   objectState
	trusted bool
	err     error
}

type objectState uint8

const (
	atStart objectState = iota
	atMember
	atEnd
)

// Open returns a cursor before the first member of the object in data, which
// may have white space around it.
func Open(data []byte) Object { return Object{data: data} }

// OpenValid is Open for data that Value or Valid has already accepted: it skips
// over values without checking them again. That saves most of the time where values
// are objects or long strings, and next to nothing where they are short scalars. On data
// that is not valid its results make no sense, but it stays inside the slice and
// ends.
func OpenValid(data []byte) Object { return Object{data: data, trusted: true} }

// Next moves to the next member and reports whether there is one. It is false
// after the last member and after an error, for good.
func (o *Object) Next() bool {
	i := skipSpace(o.data, o.at)
	switch o.state {
	case atStart:
		if i >= len(o.data) || o.data[i] != '{' {
			return o.fail(i, failObject)
		}
		i = skipSpace(o.data, i+1)
		if i < len(o.data) && o.data[i] == '}' {
			return o.finish(i + 1)
		}
	case atMember:
		if i >= len(o.data) {
			return o.fail(len(o.data), failEnd)
		}
		if o.data[i] == '}' {
			return o.finish(i + 1)
		}
		if o.data[i] != ',' {
			return o.fail(i, failComma)
		}
		i = skipSpace(o.data, i+1)
	case atEnd:
		return false
	}
	return o.member(i)
}

// member reads the member whose name begins at i.
func (o *Object) member(i int) bool {
	start, fail := memberName(o.data, i)
	if fail != fine {
		return o.fail(start, fail)
	}
	var end int
	if o.trusted {
		end = skipValid(o.data, start)
	} else if end, fail = value(o.data, start, MaxDepth-1); fail != fine {
		return o.fail(end, fail)
	}
	// The name ends at the colon before the value, or before the space there.
	o.name = o.data[i:start]
	o.value = o.data[start:end]
	o.at, o.state = end, atMember
	return true
}

// finish ends the walk behind the closing bracket at i-1.
func (o *Object) finish(i int) bool {
	if i = skipSpace(o.data, i); i != len(o.data) {
		return o.fail(i, failTrail)
	}
	o.state, o.name, o.value = atEnd, nil, nil
	return false
}

func (o *Object) fail(i int, fail failure) bool {
	o.state, o.name, o.value = atEnd, nil, nil
	o.err = fail.at(i)
	return false
}

// Name is the name of the current member, unescaped. It points into the data
// where the name holds no escape.
func (o *Object) Name() []byte {
	end := plain(o.name, 1)
	if end < len(o.name) && o.name[end] == '"' {
		return o.name[1:end]
	}
	end, fail := quoted(o.name, 0)
	if fail != fine {
		return nil
	}
	return unescape(nil, o.name[1:end-1])
}

// Value is the raw JSON of the current member's value, without surrounding
// white space.
func (o *Object) Value() []byte { return o.value }

// Err is nil if all of the data was one JSON object. It is of use after Next
// has returned false, and then a *SyntaxError.
func (o *Object) Err() error { return o.err }
