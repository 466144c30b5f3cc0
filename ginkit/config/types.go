package config

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// value is what a source has for a name. A list in a document has items instead of a text.
type value struct {
	text  string
	items []string
}

// kind is how the values of one type are read.
type kind struct {
	// wants completes "is not …".
	wants string
	parse func(value) (reflect.Value, error)
	// zero says that the zero value is within the bounds.
	zero bool
	// list says that items are taken.
	list bool
	// secret says that no value of the type may be shown.
	secret bool
	// hide says of a single value that it must not be shown.
	hide func(string) bool
}

// errUnfit is all there is to say about a value that is not what kind.wants says.
var errUnfit = errors.New("unfit")

var (
	durationType    = reflect.TypeFor[time.Duration]()
	levelType       = reflect.TypeFor[slog.Level]()
	urlType         = reflect.TypeFor[url.URL]()
	secretType      = reflect.TypeFor[Secret]()
	unmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// kindOf returns how a type is read, within the bounds that the tags set.
func kindOf(t reflect.Type, tags *tags) (kind, error) {
	switch t {
	case durationType:
		return number(t, tags, "a time with a unit (250ms, 2s)", bounds[int64]{least: &bound[int64]{0, "0s"}}, func(s string) (int64, error) {
			d, err := time.ParseDuration(s)
			return int64(d), err
		})
	case levelType:
		return level(), nil
	case urlType:
		return location(), nil
	case secretType:
		return secret(tags)
	}
	if reflect.PointerTo(t).Implements(unmarshalerType) && t.Kind() != reflect.Pointer {
		return unmarshaler(t), nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return pointer(t, tags)
	case reflect.String:
		return text(t, tags)
	case reflect.Bool:
		return boolean(t), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return number(t, tags, "a whole number", signedLimits(t.Bits()), func(s string) (int64, error) {
			return strconv.ParseInt(s, 10, t.Bits())
		})
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return number(t, tags, "a whole number", unsignedLimits(t.Bits()), func(s string) (uint64, error) {
			return strconv.ParseUint(s, 10, t.Bits())
		})
	case reflect.Float32, reflect.Float64:
		return number(t, tags, "a number", bounds[float64]{}, func(s string) (float64, error) { return finite(s, t.Bits()) })
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String && !reflect.PointerTo(t.Elem()).Implements(unmarshalerType) {
			return list(t, tags)
		}
	default:
	}
	return kind{}, fmt.Errorf("the type %s can't be read", t)
}

func finite(s string, bits int) (float64, error) {
	f, err := strconv.ParseFloat(s, bits)
	if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
		err = errUnfit
	}
	return f, err
}

func number[N int64 | uint64 | float64](t reflect.Type, tags *tags, what string, implied bounds[N], parse func(string) (N, error)) (kind, error) {
	b, err := readBounds(tags, implied, parse)
	return kind{
		wants: what + b.phrase(),
		zero:  b.hold(0),
		parse: func(v value) (reflect.Value, error) {
			n, err := parse(v.text)
			if err != nil || !b.hold(n) {
				return reflect.Value{}, errUnfit
			}
			return reflect.ValueOf(n).Convert(t), nil
		},
	}, err
}

func text(t reflect.Type, tags *tags) (kind, error) {
	wants, fits, err := texts(tags)
	return kind{
		wants: wants,
		zero:  fits(""),
		parse: func(v value) (reflect.Value, error) {
			if !fits(v.text) {
				return reflect.Value{}, errUnfit
			}
			return reflect.ValueOf(v.text).Convert(t), nil
		},
	}, err
}

// texts returns which texts the tags allow, in words and as a function.
func texts(tags *tags) (string, func(string) bool, error) {
	choices, ok, err := oneOf(tags)
	if ok {
		return alternatives(choices), func(s string) bool { return slices.Contains(choices, s) }, err
	}
	b, err := readLength(tags)
	return "a text" + b.count("characters"), func(s string) bool { return utf8.ValidString(s) && b.hold(utf8.RuneCountInString(s)) }, err
}

func oneOf(tags *tags) ([]string, bool, error) {
	tag, ok := tags.take("oneof")
	choices := strings.Fields(tag)
	if ok && len(choices) == 0 {
		return nil, true, errors.New("oneof names no value")
	}
	return choices, ok, nil
}

// alternatives is "a", "a or b", "a, b or c".
func alternatives(choices []string) string {
	if len(choices) < 2 {
		return strings.Join(choices, "")
	}
	last := len(choices) - 1
	return strings.Join(choices[:last], ", ") + " or " + choices[last]
}

func boolean(t reflect.Type) kind {
	return kind{wants: "true or false", zero: true, parse: func(v value) (reflect.Value, error) {
		b, err := strconv.ParseBool(v.text)
		if err != nil {
			return reflect.Value{}, errUnfit
		}
		return reflect.ValueOf(b).Convert(t), nil
	}}
}

func level() kind {
	return kind{wants: "debug, info, warn or error", zero: true, parse: func(v value) (reflect.Value, error) {
		var l slog.Level
		if l.UnmarshalText([]byte(v.text)) != nil {
			return reflect.Value{}, errUnfit
		}
		return reflect.ValueOf(l), nil
	}}
}

func location() kind {
	return kind{
		wants: "an absolute URL such as https://example.com/path",
		zero:  true,
		parse: func(v value) (reflect.Value, error) {
			u, err := url.Parse(v.text)
			if err != nil || u.Scheme == "" || u.Opaque != "" || (u.Host == "" && u.Scheme != "file" && u.Scheme != "unix") {
				return reflect.Value{}, errUnfit
			}
			return reflect.ValueOf(*u), nil
		},
		// These are where URLs have passwords and keys.
		hide: func(s string) bool { return strings.ContainsAny(s, "@?#") },
	}
}

func secret(tags *tags) (kind, error) {
	b, err := readLength(tags)
	return kind{
		wants:  "a secret" + b.count("bytes"),
		zero:   b.hold(0),
		secret: true,
		parse: func(v value) (reflect.Value, error) {
			if !b.hold(len(v.text)) {
				return reflect.Value{}, errUnfit
			}
			return reflect.ValueOf(NewSecret(v.text)), nil
		},
	}, err
}

func list(t reflect.Type, tags *tags) (kind, error) {
	wants := "a list, separated by commas,"
	choices, limited, err := oneOf(tags)
	if limited {
		wants += " of " + alternatives(choices)
	}
	b, lengthErr := readLength(tags)
	fits := func(item string) bool {
		return item != "" && utf8.ValidString(item) && (!limited || slices.Contains(choices, item))
	}
	return kind{
		wants: strings.TrimSuffix(wants+b.count("items"), ","),
		zero:  b.hold(0),
		list:  true,
		parse: func(v value) (reflect.Value, error) {
			items := v.items
			if items == nil {
				for item := range strings.SplitSeq(v.text, ",") {
					items = append(items, strings.TrimSpace(item))
				}
			}
			if !b.hold(len(items)) {
				return reflect.Value{}, errUnfit
			}
			read := reflect.MakeSlice(t, 0, len(items))
			for _, item := range items {
				if !fits(item) {
					return reflect.Value{}, errUnfit
				}
				read = reflect.Append(read, reflect.ValueOf(item).Convert(t.Elem()))
			}
			return read, nil
		},
	}, errors.Join(err, lengthErr)
}

func unmarshaler(t reflect.Type) kind {
	return kind{wants: "a " + t.String(), zero: true, parse: func(v value) (reflect.Value, error) {
		to := reflect.New(t)
		// The type was asked whether it has the method.
		if err := to.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(v.text)); err != nil { //nolint:errcheck // see above
			return reflect.Value{}, err
		}
		return to.Elem(), nil
	}}
}

// pointer reads what the pointer points to. Being nil, its zero value needs to be within no bounds.
func pointer(t reflect.Type, tags *tags) (kind, error) {
	if t.Elem().Kind() == reflect.Pointer {
		return kind{}, fmt.Errorf("the type %s can't be read", t)
	}
	k, err := kindOf(t.Elem(), tags)
	parse := k.parse
	k.zero = true
	k.parse = func(v value) (reflect.Value, error) {
		pointed, err := parse(v)
		if err != nil {
			return reflect.Value{}, err
		}
		to := reflect.New(t.Elem())
		to.Elem().Set(pointed)
		return to, nil
	}
	return k, err
}
