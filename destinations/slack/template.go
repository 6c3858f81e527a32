package slack

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/tributary-dev/analytics/destinations/dest"
)

// raw is a text that is inserted as it is.
type raw string

const (
	escapeName = "_escape"
	traitsName = "traits"
)

var functions = template.FuncMap{
	escapeName: escape,
	traitsName: func() string { return "" }, // see render
	"raw":      func(v any) raw { return raw(plain(v)) },
	"default": func(or, v any) any {
		if plain(v) == "" {
			return or
		}
		return v
	},
	"upper": func(v any) string { return strings.ToUpper(plain(v)) },
	"lower": func(v any) string { return strings.ToLower(plain(v)) },
	"json": func(v any) (string, error) {
		b, err := dest.Marshal(v)
		return string(b), err
	},
	"money": money,
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func escape(v any) string {
	if r, ok := v.(raw); ok {
		return string(r)
	}
	return escaper.Replace(plain(v))
}

// plain is a value as text; nothing where there is none.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return string(v)
	case raw:
		return string(v)
	case map[string]any, []any:
		b, _ := dest.Marshal(v) // it was JSON before
		return string(b)
	}
	return fmt.Sprint(v)
}

// money is an amount with two digits, and its currency if one is given.
func money(amount any, currency ...any) string {
	f, ok := dest.Of(amount).Float()
	if !ok {
		return plain(amount)
	}
	s := strconv.FormatFloat(f, 'f', 2, 64)
	if len(currency) > 0 && plain(currency[0]) != "" {
		s += " " + strings.ToUpper(plain(currency[0]))
	}
	return s
}

// parsed is a template with what it uses.
type parsed struct {
	*template.Template
	traits, context bool
}

// parseTemplate reads a template and puts an escape behind whatever it inserts.
func parseTemplate(text string) (parsed, error) {
	t, err := template.New("message").Funcs(functions).Option("missingkey=zero").Parse(text)
	if err != nil {
		return parsed{}, err
	}
	p := parsed{Template: t}
	for _, part := range t.Templates() {
		if part.Tree != nil {
			p.list(part.Root)
		}
	}
	return p, nil
}

func (p *parsed) list(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.ActionNode:
			p.pipe(n.Pipe)
			if len(n.Pipe.Decl) == 0 {
				escapePipe(n.Pipe)
			}
		case *parse.IfNode:
			p.branch(&n.BranchNode)
		case *parse.RangeNode:
			p.branch(&n.BranchNode)
		case *parse.WithNode:
			p.branch(&n.BranchNode)
		case *parse.TemplateNode:
			p.pipe(n.Pipe)
		}
	}
}

func (p *parsed) branch(b *parse.BranchNode) {
	p.pipe(b.Pipe)
	p.list(b.List)
	p.list(b.ElseList)
}

// pipe notes what a pipeline uses.
func (p *parsed) pipe(pipe *parse.PipeNode) {
	if pipe == nil {
		return
	}
	for _, command := range pipe.Cmds {
		for _, arg := range command.Args {
			switch a := arg.(type) {
			case *parse.IdentifierNode:
				p.traits = p.traits || a.Ident == traitsName
			case *parse.PipeNode:
				p.pipe(a)
			case *parse.DotNode: // the whole message, or an element of something
				p.context = true
			}
		}
	}
	p.context = p.context || strings.Contains(pipe.String(), "Context") || strings.Contains(pipe.String(), "$")
}

func escapePipe(pipe *parse.PipeNode) {
	pipe.Cmds = append(pipe.Cmds, &parse.CommandNode{
		NodeType: parse.NodeCommand,
		Pos:      pipe.Pos,
		Args:     []parse.Node{parse.NewIdentifier(escapeName).SetPos(pipe.Pos).SetTree(nil)},
	})
}

// render makes the text of a message.
func (d *Destination) render(r *rule, m Message) (string, error) {
	t := r.template.Template
	if r.template.traits {
		own, err := t.Clone()
		if err != nil {
			return "", err
		}
		t = own.Funcs(template.FuncMap{traitsName: func() string { return d.listTraits(m.Traits) }})
	}
	var b strings.Builder
	err := t.Execute(&b, m)
	return b.String(), err
}

func (d *Destination) listTraits(traits map[string]any) string {
	var lines []string
	for _, key := range d.Traits {
		if v, ok := traits[key]; ok && v != nil {
			lines = append(lines, key+": "+plain(v))
		}
	}
	return strings.Join(lines, "\n")
}
