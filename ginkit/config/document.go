package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document collects what is in a file, and what is wrong with it. Its errors show no values, which may be secret.
type document struct {
	path  string
	found []entry
	lines map[string]int
	errs  []error
}

func readDocument(path string, content []byte) ([]entry, []error) {
	d := &document{path: path, lines: map[string]int{}}
	switch {
	case len(bytes.TrimSpace(content)) == 0:
		d.errs = append(d.errs, fmt.Errorf("%s: is empty: {} are no settings", path))
	case filepath.Ext(path) == ".json":
		d.json(content)
	default:
		d.yaml(content)
	}
	return d.found, d.errs
}

func (d *document) wrong(line int, format string, args ...any) {
	d.errs = append(d.errs, fmt.Errorf("%s: %s", d.place(line), fmt.Sprintf(format, args...)))
}

func (d *document) place(line int) string {
	return fmt.Sprintf("%s, line %d", d.path, line)
}

// add takes a value, unless its key was there before.
func (d *document) add(name string, line int, v value) {
	if first, ok := d.lines[name]; ok {
		d.wrong(line, "%s is there already, in line %d", shownKey(name), first)
		return
	}
	d.lines[name] = line
	d.found = append(d.found, entry{name: name, place: d.place(line), value: v})
}

// shownKey is a key for a message. One that could be no name may be anything, also the end of a secret.
func shownKey(name string) string {
	if isName(name) {
		return name
	}
	return "a key that could be no name"
}

func (d *document) yaml(content []byte) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var root, next yaml.Node
	err := decoder.Decode(&root)
	if errors.Is(err, io.EOF) {
		// There are only comments.
		return
	}
	if err == nil {
		if err = decoder.Decode(&next); err == nil {
			d.wrong(next.Line, "a second document begins, and there must be one")
			return
		}
	}
	if !errors.Is(err, io.EOF) && err != nil {
		d.errs = append(d.errs, fmt.Errorf("%s%s", d.path, yamlReason(err)))
		return
	}
	body := root.Content[0]
	if body.Kind == yaml.ScalarNode && body.ShortTag() == "!!null" {
		return
	}
	if body.Kind != yaml.MappingNode {
		d.wrong(body.Line, "the document is not a mapping of names to values")
		return
	}
	for i := 0; i+1 < len(body.Content); i += 2 {
		d.yamlPair(body.Content[i], body.Content[i+1])
	}
}

// yamlReason completes the path to a message.
func yamlReason(err error) string {
	reason := strings.TrimPrefix(err.Error(), "yaml: ")
	line := ""
	if rest, ok := strings.CutPrefix(reason, "line "); ok {
		if number, after, ok := strings.Cut(rest, ": "); ok {
			line, reason = ", line "+number, after
		}
	}
	if strings.Contains(reason, "anchor") {
		// It repeats the name of the anchor, which is a value without its quotes.
		reason = "a value that begins with & or * needs quotes"
	}
	return line + ": is not YAML: " + oneLine(reason)
}

func (d *document) yamlPair(key, content *yaml.Node) {
	if key.Kind != yaml.ScalarNode {
		d.wrong(key.Line, "a key is not a name")
		return
	}
	switch content.Kind {
	case yaml.ScalarNode:
		text, ok := yamlText(content)
		if !ok {
			d.wrong(content.Line, "%s has a tag: put quotes around a value that begins with !", shownKey(key.Value))
			return
		}
		d.add(key.Value, key.Line, value{text: text})
	case yaml.SequenceNode:
		items := make([]string, 0, len(content.Content))
		for _, item := range content.Content {
			text, ok := yamlText(item)
			if !ok || text == "" {
				d.wrong(item.Line, "an item of the list %s is not a text", shownKey(key.Value))
				return
			}
			items = append(items, text)
		}
		d.add(key.Value, key.Line, value{items: items})
	case yaml.AliasNode:
		d.wrong(content.Line, "%s is an alias: put quotes around a value that begins with *", shownKey(key.Value))
	default:
		d.wrong(content.Line, "%s has keys of its own, and the names have one level", shownKey(key.Value))
	}
}

// yamlText returns a scalar as it is written, so that 1.20 stays 1.20.
func yamlText(node *yaml.Node) (string, bool) {
	if node.Kind != yaml.ScalarNode {
		return "", false
	}
	switch node.ShortTag() {
	case "!!null":
		return "", true
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp", "!!merge":
		return node.Value, true
	}
	return "", false
}

func (d *document) json(content []byte) {
	lineAt := func(offset int64) int {
		return 1 + bytes.Count(content[:min(max(offset, 0), int64(len(content)))], []byte("\n"))
	}
	var whole json.RawMessage
	if err := json.Unmarshal(content, &whole); err != nil {
		line := 1
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			line = lineAt(syntax.Offset - 1)
		}
		d.wrong(line, "is not JSON: %s", oneLine(err.Error()))
		return
	}
	// It is JSON, so from here on the decoder has nothing to complain of. A map would not tell of a key that is there twice.
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		d.wrong(lineAt(decoder.InputOffset()), "the document is not an object of names and values")
		return
	}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		line := lineAt(decoder.InputOffset())
		var raw any
		if err != nil || !ok || decoder.Decode(&raw) != nil {
			d.wrong(line, "can't be read")
			return
		}
		if v, ok := jsonValue(raw); ok {
			d.add(name, line, v)
		} else {
			d.wrong(line, "%s has keys or lists of its own, and the names have one level", shownKey(name))
		}
	}
}

// jsonValue returns texts and lists of texts. Numbers stay as they are written.
func jsonValue(raw any) (value, bool) {
	switch raw := raw.(type) {
	case nil:
		return value{}, true
	case []any:
		items := make([]string, 0, len(raw))
		for _, item := range raw {
			text, ok := jsonText(item)
			if !ok {
				return value{}, false
			}
			items = append(items, text)
		}
		return value{items: items}, true
	}
	text, ok := jsonText(raw)
	return value{text: text}, ok
}

func jsonText(raw any) (string, bool) {
	switch raw := raw.(type) {
	case string:
		return raw, true
	case bool:
		return fmt.Sprint(raw), true
	case json.Number:
		return raw.String(), true
	}
	return "", false
}
