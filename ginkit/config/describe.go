package config

import (
	"fmt"
	"reflect"
	"strings"
	"text/tabwriter"
)

// Describe returns a table of the settings, for -help: the name of each, what it may be, its default, whether it changes while the process
// runs, and the tag help. Of a struct that Read would refuse it returns the reason.
func Describe[T any]() string {
	s, err := schemaOf(reflect.TypeFor[T]())
	if err != nil {
		return err.Error() + "\n"
	}
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tVALUE\tDEFAULT\tCHANGES\tMEANING")
	for _, f := range s.fields {
		preset := "-"
		switch {
		case f.required:
			preset = "required"
		case f.preset != nil && f.secret:
			preset = redacted
		case f.preset != nil:
			preset = f.preset.text
		}
		changes := "at start"
		if f.reload {
			changes = "at once"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", f.name, f.kind.wants, preset, changes, f.help)
	}
	// Neither the table nor the text can fail to be written.
	_ = table.Flush()
	lines := strings.Split(text.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
