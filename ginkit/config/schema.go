package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// field is one setting.
type field struct {
	name  string
	index []int
	kind  kind
	help  string
	// preset is the default, as it is written in the tag and as it is read. It is nil where there is none.
	preset   *value
	required bool
	reload   bool
	secret   bool
}

// schema is what a struct says about its settings.
type schema struct {
	of     reflect.Type
	fields []field
	names  []string
	byName map[string]int
}

// schemaOf reads the tags of a struct. The error has everything that is wrong with them.
func schemaOf(t reflect.Type) (*schema, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("config: %s is no struct", t)
	}
	s := &schema{of: t, byName: map[string]int{}}
	if errs := s.add(t, nil, "", ""); len(errs) > 0 {
		return nil, fmt.Errorf("config: the struct %s is wrong:\n%w", t, errors.Join(errs...))
	}
	return s, nil
}

// add adds the fields of a struct at an index, whose path in the outermost struct is for messages.
func (s *schema) add(t reflect.Type, index []int, path, prefix string) []error {
	var errs []error
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(append([]int(nil), index...), i)
		name, tagged := f.Tag.Lookup("env")
		err := misplaced(f)
		switch {
		case name == "-":
			continue
		case err != nil:
		case tagged:
			err = s.addField(f, at, prefix+name)
		case f.Type.Kind() == reflect.Struct && (f.IsExported() || f.Anonymous):
			errs = append(errs, s.add(f.Type, at, path+f.Name+".", prefix+f.Tag.Get("prefix"))...)
		}
		if err != nil {
			where := path + f.Name
			if tagged && isName(name) {
				where += " (" + prefix + name + ")"
			}
			errs = append(errs, fmt.Errorf("field %s: %w", where, err))
		}
	}
	return errs
}

// misplaced says why the tags of a field, or those of the fields in it, can't be where they are.
func misplaced(f reflect.StructField) error {
	_, tagged := f.Tag.Lookup("env")
	prefix, prefixed := f.Tag.Lookup("prefix")
	isStruct := f.Type.Kind() == reflect.Struct
	// Fields of an embedded struct can be set, whatever its name.
	settable := f.IsExported() || (f.Anonymous && isStruct && !tagged)
	switch {
	case !settable && (tagged || prefixed || hasSettings(f.Type)):
		return errors.New("has tags and is not exported")
	case prefixed && (tagged || !isStruct):
		return errors.New("has a prefix, which is for nested structs without env")
	case prefixed && prefix != "" && !isName(prefix):
		return fmt.Errorf("has the prefix %q, with which no name can begin", prefix)
	case tagged:
		return nil
	case f.Type.Kind() == reflect.Pointer && hasSettings(f.Type.Elem()):
		return errors.New("is a pointer to a struct with settings: make it the struct itself")
	case f.IsExported():
		return withoutName(f.Tag)
	}
	return nil
}

// hasSettings reports whether a struct, or one in it, has a field with a name.
func hasSettings(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for f := range t.Fields() {
		if name, ok := f.Tag.Lookup("env"); (ok && name != "-") || (!ok && hasSettings(f.Type)) {
			return true
		}
	}
	return false
}

// withoutName refuses tags of this package on a field that is not read: its name was forgotten.
func withoutName(tag reflect.StructTag) error {
	for _, name := range []string{"default", "required", "min", "max", "oneof", "reload", "secret"} {
		if _, ok := tag.Lookup(name); ok {
			return fmt.Errorf("has the tag %s, and no env", name)
		}
	}
	return nil
}

func (s *schema) addField(sf reflect.StructField, index []int, name string) error {
	if !isName(name) {
		return fmt.Errorf("env %q is no name: it may have letters, digits, '_', '-' and '.'", name)
	}
	if earlier, ok := s.byName[name]; ok {
		return fmt.Errorf("this is also the name of the field %s", s.of.FieldByIndex(s.fields[earlier].index).Name)
	}
	t := &tags{tag: sf.Tag}
	k, err := kindOf(sf.Type, t)
	f := field{
		name: name, index: index, kind: k, help: sf.Tag.Get("help"),
		required: t.flag("required"), reload: t.flag("reload"), secret: t.flag("secret") || k.secret,
	}
	if err == nil {
		err = errors.Join(append(t.errs, t.leftOver(sf.Type))...)
	}
	if err == nil {
		err = f.setDefault(sf)
	}
	if err != nil {
		return err
	}
	s.byName[name] = len(s.fields)
	s.names = append(s.names, name)
	s.fields = append(s.fields, f)
	return nil
}

func (f *field) setDefault(sf reflect.StructField) error {
	preset, ok := sf.Tag.Lookup("default")
	switch {
	case !ok || preset == "":
		if !f.kind.zero && !f.required {
			return fmt.Errorf("its zero value is not %s: give it a default, required:\"true\" or make it a pointer", f.kind.wants)
		}
		return nil
	case f.required:
		return errors.New("it is required, so its default is never used")
	case f.kind.secret:
		return errors.New("a secret in the source is none: it can't have a default")
	}
	v := value{text: preset}
	if _, err := f.kind.parse(v); err != nil {
		return fmt.Errorf("its default: %w", f.unfit(v, err))
	}
	f.preset = &v
	return nil
}

// tags are those of one field. What is taken is understood by its type.
type tags struct {
	tag   reflect.StructTag
	taken []string
	errs  []error
}

func (t *tags) take(name string) (string, bool) {
	t.taken = append(t.taken, name)
	return t.tag.Lookup(name)
}

func (t *tags) flag(name string) bool {
	switch text, ok := t.tag.Lookup(name); {
	case text == "true":
		return true
	case ok && text != "false":
		t.errs = append(t.errs, fmt.Errorf("%s is %q and not true or false", name, text))
	}
	return false
}

// leftOver refuses bounds that the type does not know.
func (t *tags) leftOver(of reflect.Type) error {
	taken := " " + strings.Join(t.taken, " ") + " "
	for _, name := range []string{"min", "max", "oneof"} {
		if _, ok := t.tag.Lookup(name); ok && !strings.Contains(taken, " "+name+" ") {
			return fmt.Errorf("%s is not for %s", name, t.what(of))
		}
	}
	return nil
}

func (t *tags) what(of reflect.Type) string {
	if _, ok := t.tag.Lookup("oneof"); ok && of.Kind() == reflect.String {
		return "a text that has oneof"
	}
	return "the type " + of.String()
}
