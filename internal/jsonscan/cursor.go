package jsonscan

// Cursor reads one JSON text from front to back, in one pass: it validates what it reads, and reads
// nothing twice.
//
//	c := jsonscan.Read(data)
//	if c.Object() {
//		for c.Member() {
//			switch string(c.Name()) {
//			case "id":
//				id, ok = c.Text()
//			case "list":
//				if c.Array() {
//					for c.Element() {
//						list = append(list, c.Value())
//					}
//				}
//			}
//		}
//	}
//	err := c.End()
//
// A value that is not read is skipped by the next call of Member, Element or End. An object or array
// that was entered must be read to its end, where Member or Element returns false. They also return
// false after invalid data, and End returns the error: only a nil error means that all of the data was
// valid. What a Cursor returns points into the data unless stated otherwise. UTF-8 is not checked. A
// Cursor does not allocate unless a string has an escape. It is for one goroutine.
type Cursor struct {
	data   []byte
	at     int    // the next byte to be read
	name   []byte // of the member, as written
	level  int    // how many arrays and objects are open
	depth  int    // see Depth
	due    bool   // a value begins at at and has not been read
	first  bool   // the array or object has no member yet
	fail   failure
	failAt int
}

// Read returns a cursor before the value in data, which may have white space around it.
func Read(data []byte) Cursor {
	return Cursor{data: data, at: skipSpace(data, 0), due: true}
}

// Kind returns what the value before the cursor is, as [Kind] does, and 0 if there is none.
func (c *Cursor) Kind() byte {
	if !c.due {
		return 0
	}
	return Kind(c.data[c.at:])
}

// Object enters the object before the cursor. If the value is none, it returns false and the value is
// still to be read.
func (c *Cursor) Object() bool { return c.enter('{') }

// Array enters the array before the cursor. If the value is none, it returns false and the value is
// still to be read.
func (c *Cursor) Array() bool { return c.enter('[') }

func (c *Cursor) enter(bracket byte) bool {
	if !c.due || c.at >= len(c.data) || c.data[c.at] != bracket {
		return false
	}
	if c.level == MaxDepth {
		c.stop(c.at, failDepth)
		return false
	}
	c.at++
	c.level++
	c.due, c.first = false, true
	return true
}

// Member moves to the next member of the object that was entered last, before its value. It returns
// false behind the last one, and then the cursor is behind the object.
func (c *Cursor) Member() bool {
	i, more := c.next('}')
	if !more {
		return false
	}
	start, fail := memberName(c.data, i)
	if fail != fine {
		c.stop(start, fail)
		return false
	}
	// The name ends at the colon before the value, or at the space there.
	c.name = c.data[i:start]
	c.at, c.due = start, true
	return true
}

// Element moves before the next element of the array that was entered last. It returns false behind
// the last one, and then the cursor is behind the array.
func (c *Cursor) Element() bool {
	i, more := c.next(']')
	if more {
		c.at, c.due = i, true
	}
	return more
}

// next returns where the next member or element begins, or false at the closing bracket.
func (c *Cursor) next(closing byte) (int, bool) {
	c.Skip()
	if c.fail != fine || c.level == 0 {
		return 0, false
	}
	i := skipSpace(c.data, c.at)
	switch {
	case i >= len(c.data):
		c.stop(i, failEnd)
		return 0, false
	case c.data[i] == closing:
		c.at = i + 1
		c.level--
		c.first = false
		return 0, false
	case c.first:
		c.first = false
		return i, true
	case c.data[i] != ',':
		c.stop(i, failComma)
		return 0, false
	}
	return skipSpace(c.data, i+1), true
}

// Name is the name of the current member. It is a copy if the name has an escape.
func (c *Cursor) Name() []byte {
	end := plain(c.name, 1)
	if end < len(c.name) && c.name[end] == '"' {
		return c.name[1:end]
	}
	end, fail := quoted(c.name, 0)
	if fail != fine {
		return nil
	}
	return unescape(nil, c.name[1:end-1])
}

// Offset returns the index of the next byte to be read: where the value before the cursor begins.
func (c *Cursor) Offset() int { return c.at }

// Since returns the data from an Offset to the cursor.
func (c *Cursor) Since(offset int) []byte { return c.data[offset:c.at] }

// Value reads the value before the cursor and returns it as written, without white space around it;
// nil if there is none or it is invalid.
func (c *Cursor) Value() []byte {
	if !c.due {
		return nil
	}
	c.due = false
	end, depth, fail := value(c.data, c.at, MaxDepth-c.level)
	if fail != fine {
		c.stop(end, fail)
		return nil
	}
	raw := c.data[c.at:end]
	c.at, c.depth = end, depth
	return raw
}

// Skip reads the value before the cursor, if there is one.
func (c *Cursor) Skip() {
	if c.due {
		_ = c.Value()
	}
}

// Depth is how deep the value that Value or Skip read last is nested: 0 for a scalar, 1 for [] and {}.
func (c *Cursor) Depth() int { return c.depth }

// Text reads the string before the cursor. It is a copy if it has an escape. If the value is no
// string, Text returns false and the value is still to be read.
func (c *Cursor) Text() (text []byte, ok bool) {
	if !c.due || c.at >= len(c.data) || c.data[c.at] != '"' {
		return nil, false
	}
	raw := c.Value()
	if raw == nil {
		return nil, false
	}
	inner := raw[1 : len(raw)-1]
	if hasEscape(inner) {
		inner = unescape(nil, inner)
	}
	return inner, true
}

// End returns a *SyntaxError if the data is not exactly one JSON value.
func (c *Cursor) End() error {
	c.Skip()
	if c.fail == fine {
		switch i := skipSpace(c.data, c.at); {
		case c.level > 0:
			c.stop(i, failEnd)
		case i != len(c.data):
			c.stop(i, failTrail)
		}
	}
	if c.fail != fine {
		return c.fail.at(c.failAt)
	}
	return nil
}

// stop ends the walk at an offence.
func (c *Cursor) stop(i int, fail failure) {
	c.failAt, c.fail = i, fail
	c.due, c.name = false, nil
}
