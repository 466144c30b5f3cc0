package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// Read fills a struct from its sources, the later of which win. The error names everything that is wrong, in lines of their own; the
// struct is then the zero value.
func Read[T any](sources ...Source) (T, error) {
	var none T
	s, err := schemaOf(reflect.TypeFor[T]())
	if err != nil {
		return none, err
	}
	found, errs := s.gather(sources)
	cfg, err := build[T](s, found, errs)
	if err != nil {
		return none, err
	}
	return *cfg, nil
}

// build makes a struct of what was found. The errors of the sources come first.
func build[T any](s *schema, found map[string]entry, errs []error) (*T, error) {
	cfg := new(T)
	errs = append(errs, s.fill(reflect.ValueOf(cfg).Elem(), found)...)
	if len(errs) == 0 {
		errs = append(errs, validate(cfg))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return cfg, nil
}

func validate[T any](cfg *T) error {
	if v, ok := any(cfg).(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// gather asks the sources for their values, and refuses names that no field has.
func (s *schema) gather(sources []Source) (map[string]entry, []error) {
	all := map[string]entry{}
	var errs []error
	for _, source := range sources {
		found, sourceErrs := source.read(func(name string) bool {
			_, ok := s.byName[name]
			return ok
		})
		errs = append(errs, sourceErrs...)
		for _, e := range found {
			if _, ok := s.byName[e.name]; !ok {
				errs = append(errs, s.unknown(e))
			} else if e.text != "" || e.items != nil {
				all[e.name] = e
			}
		}
	}
	return all, errs
}

func (s *schema) unknown(e entry) error {
	where := ""
	if e.place != "" {
		where = e.place + ": "
	}
	if meant := nearest(e.name, s.names); meant != "" {
		return fmt.Errorf("%s%s is not known: did you mean %s?", where, shownKey(e.name), meant)
	}
	return fmt.Errorf("%s%s is not known", where, shownKey(e.name))
}

// fill sets the fields of a struct.
func (s *schema) fill(to reflect.Value, found map[string]entry) []error {
	var errs []error
	for i := range s.fields {
		f := &s.fields[i]
		e, ok := found[f.name]
		v := e.value
		switch {
		case ok:
		case f.preset != nil:
			v = *f.preset
		case f.required:
			errs = append(errs, fmt.Errorf("%s: is not set, and should be %s", f.name, f.kind.wants))
			continue
		default:
			continue
		}
		read, err := f.parse(v)
		if err != nil {
			where := f.name
			if e.place != "" {
				where += " (in " + e.place + ")"
			}
			errs = append(errs, fmt.Errorf("%s: %w", where, f.unfit(v, err)))
			continue
		}
		to.FieldByIndex(f.index).Set(read)
	}
	return errs
}

func (f *field) parse(v value) (reflect.Value, error) {
	if v.items != nil && !f.kind.list {
		return reflect.Value{}, errUnfit
	}
	return f.kind.parse(v)
}

// unfit says what a value should be. The reason of a type that is not ours may repeat the value, so it is left out for a secret.
func (f *field) unfit(v value, reason error) error {
	hidden := f.secret || (f.kind.hide != nil && slices.ContainsFunc(append([]string{v.text}, v.items...), f.kind.hide))
	shown := "the value, which is not shown,"
	switch {
	case hidden:
	case v.items != nil:
		shown = "the list " + shortened(strings.Join(v.items, ", "))
	default:
		shown = shortened(v.text)
	}
	if hidden || errors.Is(reason, errUnfit) {
		return fmt.Errorf("%s is not %s", shown, f.kind.wants)
	}
	// A type that says why needs no name that only programmers know.
	return fmt.Errorf("%s can't be used: %s", shown, oneLine(reason.Error()))
}

// longest is how many characters of a value or a reason are shown.
const longest = 60

func shortened(text string) string {
	if head, cut := cutAfter(text, longest); cut {
		return fmt.Sprintf("%q… (%d bytes)", head, len(text))
	}
	return fmt.Sprintf("%q", text)
}

func oneLine(text string) string {
	head, cut := cutAfter(text, 3*longest)
	if cut {
		head += "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, head)
}

// cutAfter returns the first characters of a text, and whether there are more.
func cutAfter(text string, characters int) (string, bool) {
	for i := range text {
		if characters == 0 {
			return text[:i], true
		}
		characters--
	}
	return text, false
}
