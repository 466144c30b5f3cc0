package podmetrics

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxLine bounds a line, in bytes. It is the size of the buffer that a scrape reads through.
	maxLine = 64 << 10
	// maxNames bounds what is noted of names, in bytes.
	maxNames = 32 << 10
	// endOfOpenMetrics is the last line of an answer in OpenMetrics.
	endOfOpenMetrics = "# EOF"
)

// The seeds make hashes differ from process to process, so that nobody can make two series collide. Names and values have one each: else
// {a="b"} and {b="a"} would be the same.
var nameSeed, valueSeed = maphash.MakeSeed(), maphash.MakeSeed()

// kind is what the value of a line is.
type kind int

const (
	kindUnknown kind = iota
	kindCounter
	kindGauge
	kindBucket
	// kindOther is what no value can be made of, such as a quantile that the pod has worked out.
	kindOther
)

// label is a label as it stands in the line.
type label struct{ name, value []byte }

// labelSet are the labels of a line, in the form that selectors take.
type labelSet []label

var unescape = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n")

// Lookup returns the value of a label, and whether there is one.
func (s labelSet) Lookup(name string) (value string, exists bool) {
	for _, l := range s {
		if string(l.name) == name {
			return unescape.Replace(string(l.value)), true
		}
	}
	return "", false
}

// Has reports whether there is a label.
func (s labelSet) Has(name string) bool { _, exists := s.Lookup(name); return exists }

// Get returns the value of a label, or nothing where there is none.
func (s labelSet) Get(name string) string { value, _ := s.Lookup(name); return value }

// watched is what becomes of the lines of one name. Nobody has to want them: that they are there may be enough.
type watched struct {
	tracks []*track
	// present says that the document had such a line, and value what the last one said, if anybody keeps it.
	present bool
	keep    bool
	value   float64
}

// document reads answers, one after the other, and hands the lines that are watched to their tracks.
type document struct {
	reader *bufio.Reader
	// labels are those of the line.
	labels labelSet
	// names are the names that a query may have, one a line, as many as fit. otherwise says that one of all is that of durations of requests in
	// another way than ours, such as in milliseconds: that there are none by the right name says nothing about requests then.
	names     []byte
	otherwise bool

	watch map[string]*watched
	// name is that of the line before, current what is watched by it, and kind what its values are.
	name    []byte
	current *watched
	kind    kind
	// family and typ are from the newest line with a type.
	family, typ []byte

	openMetrics, ended bool
}

func newDocument() *document { return &document{reader: bufio.NewReaderSize(nil, maxLine)} }

// read reads an answer to its end. Its error is that of the reader, or an Error.
func (d *document) read(body io.Reader, openMetrics bool, watch map[string]*watched) error {
	d.reader.Reset(body)
	// Neither may outlive the scrape: the workspace goes to another pod.
	defer func() { d.reader.Reset(nil); d.watch, d.current = nil, nil }()
	d.watch, d.current, d.openMetrics, d.ended, d.otherwise = watch, nil, openMetrics, false, false
	d.names, d.name, d.family, d.typ = d.names[:0], d.name[:0], d.family[:0], d.typ[:0]
	for number := 1; ; number++ {
		line, err := d.reader.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return failure(ReasonMalformed, "its metrics can't be read: line %d is longer than %d bytes", number, maxLine)
		case errors.Is(err, io.EOF) && len(line) == 0:
			if d.openMetrics && !d.ended {
				return failure(ReasonMalformed, "its metrics are cut off: there is no # EOF at their end")
			}
			return nil
		case errors.Is(err, io.EOF) && d.openMetrics && string(line) == endOfOpenMetrics:
			return nil // the one line that may end without a line feed
		case errors.Is(err, io.EOF):
			return failure(ReasonMalformed, "its metrics are cut off in the middle of line %d, or that lacks the line feed at its end", number)
		case err != nil:
			return err
		}
		if err := d.line(bytes.TrimSuffix(line[:len(line)-1], []byte{'\r'})); err != nil {
			return failure(ReasonMalformed, "its metrics can't be read: line %d %s", number, err)
		}
	}
}

// line takes one line. Its error goes on from "line 7".
func (d *document) line(line []byte) error {
	line = skipBlanks(line)
	switch {
	case len(line) == 0:
		return nil
	case d.ended:
		return errors.New("comes after # EOF")
	case line[0] == '#':
		d.comment(line)
		return nil
	case line[0] == '{':
		return nil // a name in quotation marks, which no query can have
	}
	length := nameLength(line)
	if length == 0 {
		return fmt.Errorf("does not begin with the name of a metric, but with %q", line[:min(len(line), 20)])
	}
	// A registry repeats a name for each of its series.
	if !bytes.Equal(d.name, line[:length]) {
		d.enter(line[:length])
	}
	if d.current == nil {
		return nil
	}
	return d.sample(line[length:])
}

// enter looks up what is watched by another name than before.
func (d *document) enter(name []byte) {
	d.name = append(d.name[:0], name...)
	d.kind = kindOf(name, d.family, d.typ)
	if !bytes.HasPrefix(name, d.family) || len(d.family) == 0 {
		d.note(name)
	}
	d.current = d.watch[string(name)]
	if d.current != nil {
		d.current.present = true
		if len(d.current.tracks) == 0 && !d.current.keep {
			d.current = nil
		}
	}
}

// note adds a name to those that a query may have, unless it is the one before.
func (d *document) note(name []byte) {
	if bytes.HasPrefix(name, []byte("http_server_")) && bytes.Contains(name, []byte("duration")) && !bytes.HasPrefix(name, []byte(durationName)) {
		d.otherwise = true
	}
	if len(d.names)+len(name) >= maxNames {
		return
	}
	before := len(d.names) - len(name) - 1
	if before >= 0 && bytes.Equal(d.names[before:len(d.names)-1], name) && (before == 0 || d.names[before-1] == '\n') {
		return
	}
	d.names = append(append(d.names, name...), '\n')
}

// comment takes a line that is no sample. Of those only types, and the end of OpenMetrics, say anything.
func (d *document) comment(line []byte) {
	if d.openMetrics && string(line) == endOfOpenMetrics {
		d.ended = true
		return
	}
	rest, found := bytes.CutPrefix(skipBlanks(line[1:]), []byte("TYPE"))
	if !found || len(rest) == 0 || !isBlank(rest[0]) {
		return
	}
	family := skipBlanks(rest)
	length := nameLength(family)
	d.typ = append(d.typ[:0], bytes.TrimRight(skipBlanks(family[length:]), " \t")...)
	d.family = append(d.family[:0], family[:length]...)
	d.name, d.current = d.name[:0], nil // whose kind this may change
	if length == 0 {
		return
	}
	name := d.family
	switch string(d.typ) {
	case "counter":
		if d.openMetrics && !bytes.HasSuffix(name, []byte("_total")) {
			name = append(slices.Clip(name), "_total"...)
		}
	case "histogram", "summary":
		name = append(slices.Clip(name), "_count"...)
	}
	d.note(name)
}

// kindOf returns what the values of a name are, after the line with a type that came last.
func kindOf(name, family, typ []byte) kind {
	suffix, member := bytes.CutPrefix(name, family)
	if len(family) == 0 {
		member = false
	}
	if member {
		switch string(typ) + string(suffix) {
		case "counter", "counter_total", "histogram_count", "histogram_sum", "summary_count", "summary_sum":
			return kindCounter
		case "gauge", "stateset", "info", "info_info", "gaugehistogram_gcount", "gaugehistogram_gsum":
			return kindGauge
		case "histogram_bucket":
			return kindBucket
		case "histogram", "summary", "gaugehistogram", "gaugehistogram_bucket", "counter_created", "histogram_created", "summary_created":
			return kindOther
		}
	}
	for _, s := range []string{"_total", "_count", "_sum"} {
		if bytes.HasSuffix(name, []byte(s)) {
			return kindCounter
		}
	}
	if bytes.HasSuffix(name, []byte("_bucket")) {
		return kindBucket
	}
	return kindGauge
}

// sample takes what follows the name in a line that is watched.
func (d *document) sample(rest []byte) error {
	rest = skipBlanks(rest)
	d.labels = d.labels[:0]
	key := uint64(0)
	if len(rest) > 0 && rest[0] == '{' {
		var err error
		if rest, key, err = d.readLabels(rest[1:]); err != nil {
			return fmt.Errorf("(%s) %w", d.name, err)
		}
	}
	number, rest := nextToken(rest)
	value, ok := parseNumber(number)
	if !ok {
		return fmt.Errorf("(%s) has %q where its value should be", d.name, number[:min(len(number), 20)])
	}
	// The time of the pod's own clock is of no use, but that it is one tells a line from garbage. An exemplar may follow.
	if stamp, rest := nextToken(rest); len(stamp) > 0 && stamp[0] != '#' {
		_, ok := parseNumber(stamp)
		if more, _ := nextToken(rest); !ok || (len(more) > 0 && more[0] != '#') {
			return fmt.Errorf("(%s) goes on after its value", d.name)
		}
	}
	if d.current.keep {
		d.current.value = value
	}
	for _, t := range d.current.tracks {
		t.take(d.kind, key, d.labels, value)
	}
	return nil
}

// readLabels reads labels after the brace that opens them, and returns what follows the brace that closes them. The key is the same for
// the same labels in any order.
func (d *document) readLabels(s []byte) (rest []byte, key uint64, err error) {
	for {
		s = skipBlanks(s)
		if len(s) > 0 && s[0] == '}' {
			return s[1:], key, nil
		}
		length := nameLength(s)
		if length == 0 {
			return nil, 0, errors.New("lacks the name of a label, or the brace after its labels")
		}
		l := label{name: s[:length]}
		var equals, quote bool
		if s, equals = expect(s[length:], '='); equals {
			s, quote = expect(s, '"')
		}
		if !quote {
			return nil, 0, fmt.Errorf("lacks = and a quotation mark after the name of label %.60s", l.name)
		}
		end := closingQuote(s)
		if end < 0 {
			return nil, 0, fmt.Errorf("lacks the quotation mark after the value of label %.60s", l.name)
		}
		l.value, s = s[:end], s[end+1:]
		d.labels = append(d.labels, l)
		// An odd factor loses nothing of the other.
		key += (maphash.Bytes(nameSeed, l.name) | 1) * maphash.Bytes(valueSeed, l.value)
		s = skipBlanks(s)
		switch {
		case len(s) > 0 && s[0] == ',':
			s = s[1:]
		case len(s) == 0 || s[0] != '}':
			return nil, 0, fmt.Errorf("lacks a comma or a brace after label %.60s", l.name)
		}
	}
}

// expect returns what follows a character, and whether that is what comes next.
func expect(s []byte, c byte) (rest []byte, ok bool) {
	s = skipBlanks(s)
	if len(s) == 0 || s[0] != c {
		return s, false
	}
	return s[1:], true
}

// closingQuote returns where the value of a label ends, or a negative number where it does not.
func closingQuote(s []byte) int {
	for from := 0; ; {
		quote := bytes.IndexByte(s[from:], '"')
		if quote < 0 {
			return -1
		}
		quote += from
		escapes := 0
		for escapes < quote && s[quote-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return quote
		}
		from = quote + 1
	}
}

// nameLength returns how much of the beginning is the name of a metric or a label.
func nameLength(s []byte) int {
	for i, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == ':', c >= '0' && c <= '9' && i > 0:
		default:
			return i
		}
	}
	return len(s)
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func skipBlanks(s []byte) []byte {
	for len(s) > 0 && isBlank(s[0]) {
		s = s[1:]
	}
	return s
}

// nextToken returns what comes up to the next blank, and the rest.
func nextToken(s []byte) (token, rest []byte) {
	s = skipBlanks(s)
	if end := bytes.IndexAny(s, " \t"); end >= 0 {
		return s[:end], s[end:]
	}
	return s, nil
}

// parseNumber returns the value of a number as Go writes it, without the forms that only Go has.
func parseNumber(s []byte) (float64, bool) {
	// Most are counts, which are exact as long as they are this short.
	if len(s) > 0 && len(s) <= 15 {
		n := uint64(0)
		for _, c := range s {
			if c < '0' || c > '9' {
				n = 1 << 63
				break
			}
			n = 10*n + uint64(c-'0')
		}
		if n != 1<<63 {
			return float64(n), true
		}
	}
	if bytes.ContainsAny(s, "pPxX_") {
		return 0, false
	}
	value, err := strconv.ParseFloat(string(s), 64)
	// Out of range is an infinity, which is for the tracks to judge.
	return value, err == nil || errors.Is(err, strconv.ErrRange)
}
