package dest

import (
	"github.com/tributary-dev/analytics"
)

// contextFields are the fields of a context, by the path of their JSON. A value that
// has not the field's type is in the Extra beside it, and is found there.
var contextFields = map[string]func(*analytics.Context) Value{
	"context.ip":        func(c *analytics.Context) Value { return or(c.IP, c.Extra, "ip") },
	"context.locale":    func(c *analytics.Context) Value { return or(c.Locale, c.Extra, "locale") },
	"context.timezone":  func(c *analytics.Context) Value { return or(c.Timezone, c.Extra, "timezone") },
	"context.userAgent": func(c *analytics.Context) Value { return or(c.UserAgent, c.Extra, "userAgent") },
	"context.channel":   func(c *analytics.Context) Value { return or(c.Channel, c.Extra, "channel") },
	"context.groupId":   func(c *analytics.Context) Value { return or(c.GroupID, c.Extra, "groupId") },
	"context.active":    func(c *analytics.Context) Value { return orFlag(c.Active, c.Extra, "active") },

	"context.app.name":      func(c *analytics.Context) Value { return or(c.App.Name, c.App.Extra, "name") },
	"context.app.version":   func(c *analytics.Context) Value { return or(c.App.Version, c.App.Extra, "version") },
	"context.app.build":     func(c *analytics.Context) Value { return or(c.App.Build, c.App.Extra, "build") },
	"context.app.namespace": func(c *analytics.Context) Value { return or(c.App.Namespace, c.App.Extra, "namespace") },
	"context.app.platform":  func(c *analytics.Context) Value { return Of(c.App.Extra["platform"]) },

	"context.campaign.name":    func(c *analytics.Context) Value { return or(c.Campaign.Name, c.Campaign.Extra, "name") },
	"context.campaign.source":  func(c *analytics.Context) Value { return or(c.Campaign.Source, c.Campaign.Extra, "source") },
	"context.campaign.medium":  func(c *analytics.Context) Value { return or(c.Campaign.Medium, c.Campaign.Extra, "medium") },
	"context.campaign.term":    func(c *analytics.Context) Value { return or(c.Campaign.Term, c.Campaign.Extra, "term") },
	"context.campaign.content": func(c *analytics.Context) Value { return or(c.Campaign.Content, c.Campaign.Extra, "content") },

	"context.device.id":            func(c *analytics.Context) Value { return or(c.Device.ID, c.Device.Extra, "id") },
	"context.device.advertisingId": func(c *analytics.Context) Value { return or(c.Device.AdvertisingID, c.Device.Extra, "advertisingId") },
	"context.device.idfa":          func(c *analytics.Context) Value { return Of(c.Device.Extra["idfa"]) },
	"context.device.brand":         func(c *analytics.Context) Value { return Of(c.Device.Extra["brand"]) },
	"context.device.manufacturer":  func(c *analytics.Context) Value { return or(c.Device.Manufacturer, c.Device.Extra, "manufacturer") },
	"context.device.model":         func(c *analytics.Context) Value { return or(c.Device.Model, c.Device.Extra, "model") },
	"context.device.name":          func(c *analytics.Context) Value { return or(c.Device.Name, c.Device.Extra, "name") },
	"context.device.type":          func(c *analytics.Context) Value { return or(c.Device.Type, c.Device.Extra, "type") },
	"context.device.version":       func(c *analytics.Context) Value { return or(c.Device.Version, c.Device.Extra, "version") },
	"context.device.token":         func(c *analytics.Context) Value { return or(c.Device.Token, c.Device.Extra, "token") },
	"context.device.adTrackingEnabled": func(c *analytics.Context) Value {
		return orFlag(c.Device.AdTrackingEnabled, c.Device.Extra, "adTrackingEnabled")
	},

	"context.library.name":    func(c *analytics.Context) Value { return or(c.Library.Name, c.Library.Extra, "name") },
	"context.library.version": func(c *analytics.Context) Value { return or(c.Library.Version, c.Library.Extra, "version") },

	"context.location.city":      func(c *analytics.Context) Value { return or(c.Location.City, c.Location.Extra, "city") },
	"context.location.country":   func(c *analytics.Context) Value { return or(c.Location.Country, c.Location.Extra, "country") },
	"context.location.region":    func(c *analytics.Context) Value { return or(c.Location.Region, c.Location.Extra, "region") },
	"context.location.latitude":  func(c *analytics.Context) Value { return orFloat(c.Location.Latitude, c.Location.Extra, "latitude") },
	"context.location.longitude": func(c *analytics.Context) Value { return orFloat(c.Location.Longitude, c.Location.Extra, "longitude") },

	"context.network.bluetooth": func(c *analytics.Context) Value { return orFlag(c.Network.Bluetooth, c.Network.Extra, "bluetooth") },
	"context.network.cellular":  func(c *analytics.Context) Value { return orFlag(c.Network.Cellular, c.Network.Extra, "cellular") },
	"context.network.wifi":      func(c *analytics.Context) Value { return orFlag(c.Network.WiFi, c.Network.Extra, "wifi") },
	"context.network.carrier":   func(c *analytics.Context) Value { return or(c.Network.Carrier, c.Network.Extra, "carrier") },

	"context.os.name":    func(c *analytics.Context) Value { return or(c.OS.Name, c.OS.Extra, "name") },
	"context.os.version": func(c *analytics.Context) Value { return or(c.OS.Version, c.OS.Extra, "version") },

	"context.page.path":     func(c *analytics.Context) Value { return or(c.Page.Path, c.Page.Extra, "path") },
	"context.page.referrer": func(c *analytics.Context) Value { return or(c.Page.Referrer, c.Page.Extra, "referrer") },
	"context.page.search":   func(c *analytics.Context) Value { return or(c.Page.Search, c.Page.Extra, "search") },
	"context.page.title":    func(c *analytics.Context) Value { return or(c.Page.Title, c.Page.Extra, "title") },
	"context.page.url":      func(c *analytics.Context) Value { return or(c.Page.URL, c.Page.Extra, "url") },

	"context.screen.width":   func(c *analytics.Context) Value { return orInt(c.Screen.Width, c.Screen.Extra, "width") },
	"context.screen.height":  func(c *analytics.Context) Value { return orInt(c.Screen.Height, c.Screen.Extra, "height") },
	"context.screen.density": func(c *analytics.Context) Value { return orNumber(c.Screen.Density, c.Screen.Extra, "density") },

	"context.userAgentData.mobile": func(c *analytics.Context) Value {
		return orFlag(c.UserAgentData.Mobile, c.UserAgentData.Extra, "mobile")
	},
	"context.userAgentData.wow64": func(c *analytics.Context) Value { return orFlag(c.UserAgentData.WOW64, c.UserAgentData.Extra, "wow64") },
	"context.userAgentData.platform": func(c *analytics.Context) Value {
		return or(c.UserAgentData.Platform, c.UserAgentData.Extra, "platform")
	},
	"context.userAgentData.platformVersion": func(c *analytics.Context) Value {
		return or(c.UserAgentData.PlatformVersion, c.UserAgentData.Extra, "platformVersion")
	},
	"context.userAgentData.bitness": func(c *analytics.Context) Value { return or(c.UserAgentData.Bitness, c.UserAgentData.Extra, "bitness") },
	"context.userAgentData.uaFullVersion": func(c *analytics.Context) Value {
		return or(c.UserAgentData.UAFullVersion, c.UserAgentData.Extra, "uaFullVersion")
	},
}

func or(s string, extra map[string]any, key string) Value {
	if s != "" || len(extra) == 0 {
		return Text(s)
	}
	return Of(extra[key])
}

func orFlag(b *bool, extra map[string]any, key string) Value {
	if b != nil || len(extra) == 0 {
		return Flag(b)
	}
	return Of(extra[key])
}

func orFloat(f *float64, extra map[string]any, key string) Value {
	if f != nil {
		return Float(*f)
	}
	return Of(extra[key])
}

func orNumber(f float64, extra map[string]any, key string) Value {
	if f != 0 {
		return Float(f)
	}
	return Of(extra[key])
}

func orInt(n int, extra map[string]any, key string) Value {
	if n != 0 {
		return Int(int64(n))
	}
	return Of(extra[key])
}
