package main

import (
	"go/parser"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/destinations/catalog"
)

var acme = catalog.Entry{
	Name: "Acme CRM", Aliases: []string{"Acme", "Acme (Actions)"}, Package: "example.com/acme", Title: "Sends to <a>.", Doc: "Sends to <a>.\n\nMore.",
	Category: "CRM", API: "/v1", Calls: []string{"track"}, Order: "unordered",
	Lanes: []catalog.Lane{{MaxItems: 5, MaxBytes: 2000, Concurrency: 4, Timeout: "30s"}},
	Changes: []catalog.Change{
		{With: "Alias", Calls: []string{"track", "alias"}},
		{With: "Mode a|b", Order: "total", Lanes: []catalog.Lane{{Name: "b", MaxItems: 1, MaxBytes: 3000, Concurrency: 1, Linger: "1s", Timeout: "30s"}}},
	},
	Settings: []catalog.Setting{
		{Field: "Key", Key: "key", Type: "string", Required: true, Secret: true, Doc: "Key is <k> | *k*."},
		{Field: "Mode", Type: "string", OneOf: []string{"x", "a|b"}, Default: "x", Doc: "Mode is a mode."},
	},
	Example: `&acme.Destination{Key: "k"}`,
}

func TestPage(t *testing.T) {
	text := page([]catalog.Entry{acme}, acme.Settings[:1])
	require.Contains(t, text, "\n| [Acme CRM](#acme-crm) | `acme` | CRM | /v1 | T(A) | – | 5, 3 kB | – |\n")
	require.Equal(t, 2, strings.Count(text, "\n| `Key` | `key` | string |  | yes | yes | Key is &lt;k> \\| \\*k\\*. |\n"))
	_, section, _ := strings.Cut(text, "\n## Acme CRM\n")
	require.Equal(t, `
Sends to &lt;a>.

More.

`+"```go\n&acme.Destination{Key: \"k\"}\n```"+`

In the integrations object it is `+"`Acme CRM`, `Acme` or `Acme (Actions)`"+`.

| setting | in JSON | type | default | required | secret | what |
|---|---|---|---|---|---|---|
| `+"`Key` | `key`"+` | string |  | yes | yes | Key is &lt;k> \| \*k\*. |
| `+"`Mode` |  | `x`, `a\\|b` | `x`"+` |  |  | Mode is a mode. |

| lane | with | items | bytes | requests at a time | waits | time-out |
|---|---|---|---|---|---|---|
|  |  | 5 | 2 kB | 4 |  | 30s |
| b | `+"`Mode` `a\\|b`"+` | 1 | 3 kB | 1 | 1s | 30s |

With `+"`Alias`"+` the calls are track, alias.

With `+"`Mode` `a|b`"+` the order is total.
`, section)
}

func TestLinksLeadToHeadings(t *testing.T) {
	for heading, want := range map[string]string{
		"Customer.io":              "[Customer.io](#customerio)",
		"Facebook Conversions API": "[Facebook Conversions API](#facebook-conversions-api)",
	} {
		require.Equal(t, want, link(heading))
	}
}

func TestGoFile(t *testing.T) {
	code, err := goFile([]catalog.Entry{acme}, nil)
	require.NoError(t, err)
	require.Contains(t, code, `
			Lanes: []Lane{
				{MaxItems: 5, MaxBytes: 2000, Concurrency: 4, Timeout: "30s"},
			},
`)
	require.Contains(t, code, "\t\t\t\t{With: \"Alias\", Calls: []string{\"track\", \"alias\"}},\n")
	require.Contains(t, code, "Required: true, Secret: true")
	require.True(t, strings.HasPrefix(code, "// Code generated "), "as tools know generated files")

	again, err := goFile([]catalog.Entry{acme}, nil)
	require.NoError(t, err)
	require.Equal(t, code, again)
	_, err = parser.ParseExpr(acme.Example)
	require.NoError(t, err)
}
