package config

import (
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

func TestWrongTags(t *testing.T) {
	const optional = `: give it a default, required:"true" or make it a pointer`
	var (
		text, number, little = reflect.TypeFor[string](), reflect.TypeFor[int](), reflect.TypeFor[int8]()
		secret               = reflect.TypeFor[Secret]()
	)
	tests := map[string]struct {
		of        reflect.Type
		tag, want string
	}{
		"unknown flag":             {text, `reload:"yes"`, `reload is "yes" and not true or false`},
		"two things":               {text, `reload:"on" min:"x"`, `min "x" is not a value of the type`},
		"default of no use":        {number, `default:"x"`, `its default: "x" is not a whole number`},
		"default out of bounds":    {number, `default:"9" max:"8"`, `its default: "9" is not a whole number of at most 8`},
		"zero out of bounds":       {number, `min:"1"`, `its zero value is not a whole number of at least 1` + optional},
		"unset is no choice":       {text, `oneof:"a b"`, `its zero value is not a or b` + optional},
		"unset is too short":       {secret, `min:"8"`, `its zero value is not a secret of at least 8 bytes` + optional},
		"default of no choice":     {text, `oneof:"a b" default:"c"`, `its default: "c" is not a or b`},
		"default and required":     {number, `default:"1" required:"true"`, `it is required, so its default is never used`},
		"default of a secret":      {secret, `default:"x"`, `a secret in the source is none: it can't have a default`},
		"bound that is no number":  {number, `min:"x"`, `min "x" is not a value of the type`},
		"bound beyond the type":    {little, `max:"300"`, `max "300" is not a value of the type`},
		"bound below zero":         {secret, `max:"-1"`, `max "-1" is not a value of the type`},
		"bound that is not finite": {reflect.TypeFor[float64](), `max:"Inf"`, `max "Inf" is not a value of the type`},
		"bounds the wrong way":     {number, `min:"3" max:"2"`, `min 3 is more than max 2`},
		"bound of a boolean":       {reflect.TypeFor[bool](), `max:"1"`, `max is not for the type bool`},
		"bound of a level":         {reflect.TypeFor[slog.Level](), `min:"info"`, `min is not for the type slog.Level`},
		"choices of a number":      {number, `oneof:"1 2"`, `oneof is not for the type int`},
		"choices and a length":     {text, `oneof:"a b" default:"a" max:"3"`, `max is not for a text that has oneof`},
		"no choice":                {text, `oneof:" "`, `oneof names no value`},
		"unsupported type":         {reflect.TypeFor[map[string]string](), ``, `the type map[string]string can't be read`},
		"unsupported list":         {reflect.TypeFor[[]int](), ``, `the type []int can't be read`},
		"unsupported pointer":      {reflect.TypeFor[**int](), ``, `the type **int can't be read`},
		"an interface":             {reflect.TypeFor[any](), ``, `the type interface {} can't be read`},
		"a struct without fields":  {reflect.TypeFor[struct{}](), ``, `the type struct {} can't be read`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tag := reflect.StructTag(`env:"NAME" ` + tc.tag)
			_, err := schemaOf(reflect.StructOf([]reflect.StructField{{Name: "Field", Type: tc.of, Tag: tag}}))
			if err == nil {
				t.Fatal("the struct is not refused")
			}
			_, got, _ := strings.Cut(err.Error(), "is wrong:\n")
			if want := "field Field (NAME): " + tc.want; got != want {
				t.Errorf("error is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestWrongStructs(t *testing.T) {
	type inner struct {
		A string `env:"A"`
	}
	const characters = `is no name: it may have letters, digits, '_', '-' and '.'`
	tests := map[string]struct {
		of   any
		want string
	}{
		"two with one name": {struct {
			A, B string `env:"X"`
		}{}, `field B (X): this is also the name of the field A`},
		"two through a prefix": {struct {
			X  string `env:"P_A"`
			In inner  `prefix:"P_"`
		}{}, `field In.A (P_A): this is also the name of the field X`},
		"not exported": {struct {
			a string `env:"A"` //nolint:revive // this is what is refused
		}{}, `field a (A): has tags and is not exported`},
		"not exported, with fields": {struct{ in inner }{}, `field in: has tags and is not exported`},
		"a pointer to a struct":     {struct{ In *inner }{}, `field In: is a pointer to a struct with settings: make it the struct itself`},
		"options after the name": {struct {
			A string `env:"A,required"`
		}{}, `field A: env "A,required" ` + characters},
		"no name": {struct {
			A string `env:""`
		}{}, `field A: env "" ` + characters},
		"a forgotten name": {struct {
			A string `default:"x"`
		}{}, `field A: has the tag default, and no env`},
		"a prefix of a text": {struct {
			A string `prefix:"P_"`
		}{}, `field A: has a prefix, which is for nested structs without env`},
		"a prefix that can't be": {struct {
			In inner `prefix:"P "`
		}{}, `field In: has the prefix "P ", with which no name can begin`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := schemaOf(reflect.TypeOf(tc.of))
			if err == nil {
				t.Fatal("the struct is not refused")
			}
			if _, got, _ := strings.Cut(err.Error(), "is wrong:\n"); got != tc.want {
				t.Errorf("error is\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
	if _, err := Read[int](); err == nil || err.Error() != "config: int is no struct" {
		t.Errorf("the error for a number is %v", err)
	}
}

type twice struct {
	A int  `env:"A" default:"1" max:"0"`
	B bool `env:"B" reload:"on"`
}

func TestEverythingThatIsWrongWithAStructIsSaid(t *testing.T) {
	want := "config: the struct config.twice is wrong:\n" +
		"field A (A): its default: \"1\" is not a whole number of at most 0\n" +
		"field B (B): reload is \"on\" and not true or false"
	// Values that are right or wrong change nothing about it.
	for _, env := range [][]string{nil, {"A=1", "B=true"}, {"A=y"}} {
		if _, err := Read[twice](Environment(env)); err == nil || err.Error() != want {
			t.Errorf("error is\n%v\nwant\n%s", err, want)
		}
	}
	if got := Describe[twice](); got != want+"\n" {
		t.Errorf("the description is\n%s\nwant\n%s", got, want)
	}
}

func TestDescribe(t *testing.T) {
	type settings struct {
		Rate  float64 `env:"RATE" default:"0.5" max:"1" reload:"true" help:"share of what is kept"`
		Token Secret  `env:"TOKEN" required:"true"`
		DSN   string  `env:"DSN" secret:"true" default:"postgres://me:pw@h" help:"the database"`
		Extra *bool   `env:"EXTRA"`
	}
	want := `NAME   VALUE                  DEFAULT     CHANGES   MEANING
RATE   a number of at most 1  0.5         at once   share of what is kept
TOKEN  a secret               required    at start
DSN    a text                 [redacted]  at start  the database
EXTRA  true or false          -           at start
`
	if got := Describe[settings](); got != want {
		t.Errorf("the description is\n%s\nwant\n%s", got, want)
	}
}
