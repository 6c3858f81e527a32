package mixpanel

import "strings"

// browsers are looked for in this order; the first that matches wins. Its version
// stands behind the mark.
var browsers = []struct {
	marks []string // any of them
	name  string
	mark  string
}{
	{[]string{" OPR/"}, "Opera", "OPR/"},
	{[]string{"BlackBerry", "PlayBook", "BB10"}, "BlackBerry", "BlackBerry "},
	{[]string{"IEMobile", "WPDesktop"}, "Internet Explorer Mobile", "rv:"},
	{[]string{"SamsungBrowser/"}, "Samsung Internet", "SamsungBrowser/"},
	{[]string{"Edge/"}, "Microsoft Edge", "Edge/"},
	{[]string{"Edge", "Edg/"}, "Microsoft Edge", "Edg/"},
	{[]string{"FBIOS"}, "Facebook Mobile", ""},
	{[]string{"Chrome"}, "Chrome", "Chrome/"},
	{[]string{"CriOS"}, "Chrome iOS", "CriOS/"},
	{[]string{"UCWEB", "UCBrowser"}, "UC Browser", "UCBrowser/"},
	{[]string{"FxiOS"}, "Firefox iOS", "FxiOS/"},
	{[]string{"Safari"}, "Safari", "Version/"},
	{[]string{"Android"}, "Android Mobile", "Android "},
	{[]string{"Konqueror"}, "Konqueror", "Konqueror/"},
	{[]string{"Firefox"}, "Firefox", "Firefox/"},
	{[]string{"MSIE"}, "Internet Explorer", "MSIE "},
	{[]string{"Trident/"}, "Internet Explorer", "rv:"},
	{[]string{"Gecko"}, "Mozilla", "rv:"},
}

// browser finds the browser in a user agent, and its version if that is dotted.
func browser(agent string) (name, version string) {
	for _, b := range browsers {
		for _, mark := range b.marks {
			if !strings.Contains(agent, mark) {
				continue
			}
			switch {
			case b.name == "Opera" && strings.Contains(agent, "Mini"):
				return "Opera Mini", versionAfter(agent, b.mark)
			case b.name == "Safari" && strings.Contains(agent, "iPhone"):
				return "Mobile Safari", versionAfter(agent, b.mark)
			}
			return b.name, versionAfter(agent, b.mark)
		}
	}
	return "", ""
}

func versionAfter(agent, mark string) string {
	_, rest, found := strings.Cut(agent, mark)
	if mark == "" || !found {
		return ""
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end >= 0 {
		rest = rest[:end]
	}
	if rest = strings.Trim(rest, "."); !strings.Contains(rest, ".") {
		return ""
	}
	return rest
}
