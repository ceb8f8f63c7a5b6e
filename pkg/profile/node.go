package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A node is a JSON value with its place in the text. The loaders decode the text
// by encoding/json itself, so as to be right in the details; nodes are for saying
// where something is, and for what the loaders do not look at.
type node struct {
	start, end int // in the text
	parent     *node
	key        string     // in the parent, if that is an object
	index      int        // in the parent, if that is an array
	value      any        // string, json.Number, bool or nil of a scalar
	members    []member   // of an object, in order
	items      []*node    // of an array
	kind       json.Delim // '{', '[' or 0
}

type member struct {
	key   string
	at    int // where the key is
	value *node
}

// parseJSON returns the tree of a text that holds one JSON value.
func parseJSON(text []byte) (*node, error) {
	// The whole is checked first, by which the depth is bounded too.
	var raw json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at := int(syntax.Offset)
			if !strings.HasPrefix(syntax.Error(), "unexpected end") {
				at-- // the byte at fault is counted too
			}
			line, column := position(text, at)
			return nil, &Error{Line: line, Column: column, Err: because(ErrNotProfile, "not JSON: %s", syntax)}
		}
		return nil, &Error{Err: because(ErrNotProfile, "not JSON: %s", err)}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	p := &nodeParser{text: text, d: d}
	n, err := p.parse(&node{}, 0)
	if errors.Is(err, errDeep) {
		line, column := position(text, int(d.InputOffset()))
		return nil, &Error{Line: line, Column: column, Err: because(ErrNotProfile, "%s", err)}
	}
	return n, err
}

// maxDepth is how deep values can be nested; a profile needs seven levels, and a
// config.json two more.
const maxDepth = 64

var errDeep = fmt.Errorf("more than %d levels of values in values", maxDepth)

type nodeParser struct {
	text []byte
	d    *json.Decoder
}

// next returns the next token and where it starts.
func (p *nodeParser) next() (json.Token, int, error) {
	at := int(p.d.InputOffset())
	for at < len(p.text) && strings.IndexByte(" \t\r\n,:", p.text[at]) >= 0 {
		at++
	}
	t, err := p.d.Token()
	return t, at, err
}

// parse reads the next value into n, which knows where it belongs.
func (p *nodeParser) parse(n *node, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	t, at, err := p.next()
	if err != nil {
		return nil, err
	}
	n.start = at
	switch t {
	case json.Delim('{'):
		n.kind = '{'
		for p.d.More() {
			key, at, err := p.next()
			if err != nil {
				return nil, err
			}
			name, ok := key.(string)
			if !ok {
				return nil, fmt.Errorf("key %v is no string", key)
			}
			v, err := p.parse(&node{parent: n, key: name}, depth+1)
			if err != nil {
				return nil, err
			}
			n.members = append(n.members, member{name, at, v})
		}
		_, _, err = p.next()
	case json.Delim('['):
		n.kind = '['
		for i := 0; p.d.More(); i++ {
			v, err := p.parse(&node{parent: n, index: i}, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, v)
		}
		_, _, err = p.next()
	default:
		n.value = t
	}
	n.end = int(p.d.InputOffset())
	return n, err
}

// path returns where n is, "syscalls[3].args[0].op".
func (n *node) path() string {
	if n.parent == nil {
		return ""
	}
	before := n.parent.path()
	switch {
	case n.parent.kind == '[':
		return fmt.Sprintf("%s[%d]", before, n.index)
	case n.key == "" || strings.ContainsFunc(n.key, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}):
		return before + "[" + quote(n.key) + "]"
	case before == "":
		return clip(n.key)
	}
	return before + "." + clip(n.key)
}

// clip cuts a text off where it gets too long for a message.
func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// quote makes a text from a profile fit for a message, whatever is in it.
func quote(s string) string { return strconv.Quote(clip(s)) }

// get returns the value that encoding/json would give to a field of that name:
// upper and lower case are the same, and the last one counts. It is nil if there
// is none, or n is no object.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	for _, m := range slices.Backward(n.members) {
		if strings.EqualFold(m.key, name) {
			return m.value
		}
	}
	return nil
}

func (n *node) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return n.get(name) != nil })
}

// item returns an element of an array, nil if there is none.
func (n *node) item(i int) *node {
	if n == nil || i < 0 || i >= len(n.items) {
		return nil
	}
	return n.items[i]
}

func (n *node) text() (string, bool) {
	if n == nil {
		return "", false
	}
	s, ok := n.value.(string)
	return s, ok
}

// empty tells whether a value says nothing: null, "", {} or [].
func (n *node) empty() bool {
	return n.kind == 0 && (n.value == nil || n.value == "") || n.kind != 0 && len(n.members)+len(n.items) == 0
}

// position returns the line and column of a byte of the text, from 1.
func position(text []byte, at int) (line, column int) {
	before := text[:min(at, len(text))]
	return 1 + bytes.Count(before, []byte("\n")), at - bytes.LastIndexByte(before, '\n')
}
