package config

import (
	"cmp"
	"fmt"
	"strconv"
)

// bound is one end of what is allowed, and how it is written.
type bound[N cmp.Ordered] struct {
	value N
	text  string
}

// bounds are the ends of what is allowed. Both belong to it, and nil is no end.
type bounds[N cmp.Ordered] struct {
	least, most *bound[N]
}

func (b bounds[N]) hold(n N) bool {
	return (b.least == nil || n >= b.least.value) && (b.most == nil || n <= b.most.value)
}

// phrase describes the bounds of a number, to follow what it is.
func (b bounds[N]) phrase() string {
	switch {
	case b.least != nil && b.most != nil:
		return " from " + b.least.text + " to " + b.most.text
	case b.least != nil:
		return " of at least " + b.least.text
	case b.most != nil:
		return " of at most " + b.most.text
	}
	return ""
}

// count describes the bounds of a length, to follow what is counted.
func (b bounds[N]) count(unit string) string {
	switch {
	case b.least != nil && b.most != nil:
		return " of " + b.least.text + " to " + b.most.text + " " + unit
	case b.least != nil || b.most != nil:
		return b.phrase() + " " + unit
	}
	return ""
}

// readBounds takes min and max from the tags of a field. What they leave open is implied by the type.
func readBounds[N cmp.Ordered](t *tags, implied bounds[N], parse func(string) (N, error)) (bounds[N], error) {
	b := implied
	for _, end := range []struct {
		tag string
		to  **bound[N]
	}{{"min", &b.least}, {"max", &b.most}} {
		text, ok := t.take(end.tag)
		if !ok {
			continue
		}
		value, err := parse(text)
		if err != nil {
			return b, fmt.Errorf("%s %q is not a value of the type", end.tag, text)
		}
		*end.to = &bound[N]{value, text}
	}
	if b.least != nil && b.most != nil && b.least.value > b.most.value {
		return b, fmt.Errorf("min %s is more than max %s", b.least.text, b.most.text)
	}
	return b, nil
}

func readLength(t *tags) (bounds[int], error) {
	return readBounds(t, bounds[int]{}, func(s string) (int, error) {
		n, err := strconv.ParseUint(s, 10, 31)
		return int(n), err
	})
}

// limits are the implied bounds of the integer types. Those of 64 bits are too long to be of use to anyone.
func signedLimits(bits int) bounds[int64] {
	if bits == 64 {
		return bounds[int64]{}
	}
	least, most := int64(-1)<<(bits-1), int64(1)<<(bits-1)-1
	return bounds[int64]{
		least: &bound[int64]{least, strconv.FormatInt(least, 10)},
		most:  &bound[int64]{most, strconv.FormatInt(most, 10)},
	}
}

func unsignedLimits(bits int) bounds[uint64] {
	b := bounds[uint64]{least: &bound[uint64]{0, "0"}}
	if bits < 64 {
		most := uint64(1)<<bits - 1
		b.most = &bound[uint64]{most, strconv.FormatUint(most, 10)}
	}
	return b
}
