package main

import "slices"

var lifecycle = family{
	Package: "lifecycle",
	Title:   "Native mobile",
	Intro: "The life of an installed app. SDKs for phones send the first of them by themselves when lifecycle tracking is on; " +
		"a server sends those that it alone knows of, or passes others on.",
	Groups: []group{
		{"Application", applications},
		{"Campaigns and push notifications", campaigns},
		{"Deep links", deepLinks},
	},
	Shapes: []shape{
		{"Campaign", "is the campaign that an installation or a push notification belongs to.", []field{
			str("source", "is where the user came from, like a network."),
			str("name", "is the name of the campaign."),
			str("medium", "is the kind of the campaign, like \"push\"."),
			str("content", "tells apart what one campaign shows."),
			str("ad_creative", "is the ad that led to the installation. Install Attributed only."),
			str("ad_group", "is the group of that ad. Install Attributed only."),
		}},
	},
}

var release = []field{
	str("version", "is the version of the app."),
	str("build", "is the build of the app, also where it is a number."),
}

var applications = []event{
	{"Application Installed", "", "the app was opened for the first time, before it is known what led to that. " +
		"SDKs send it by themselves.", release},
	{"Application Opened", "", "the app was opened. SDKs send it by themselves.", slices.Concat([]field{
		yes("from_background", "tells that the app was running already."),
		str("url", "is the address by which the app was opened, on iOS."),
		str("referring_application", "is the app that has opened this one."),
	}, release)},
	{"Application Updated", "", "the app was opened for the first time after an update, in place of Application Opened. " +
		"SDKs send it by themselves.", slices.Concat([]field{
		str("previous_version", "is the version before the update."),
		str("previous_build", "is the build before the update, also where it is a number."),
	}, release)},
	{"Application Backgrounded", "", "the app went into the background. Some SDKs send it by themselves.", nil},
	{"Application Foregrounded", "", "the app came back into the foreground. Some SDKs send it by themselves.", nil},
	{"Application Uninstalled", "", "the app was removed, as a partner has found out.", nil},
	{"Application Crashed", "", "the app has crashed.", nil},
}

var (
	provider = str("provider", "is the partner that knows of it.")
	push     = one("campaign", "Campaign", "is what the notification belongs to.")
)

var campaigns = []event{
	{"Install Attributed", "", "it became known what led to an installation.", []field{provider,
		one("campaign", "Campaign", "is what led to the installation."),
	}},
	{"Push Notification Received", "", "a push notification has reached the phone.", []field{push}},
	{"Push Notification Tapped", "", "somebody has tapped a push notification.", []field{
		str("action", "is the button that was tapped. Readers take absence for \"Open\"."), push,
	}},
	{"Push Notification Bounced", "", "a push notification has not reached the phone.", []field{
		str("action", "is what the notification asked for."), push,
	}},
}

var deepLinks = []event{
	{"Deep Link Opened", "", "a link has opened the app at a certain place. It comes in addition to Application Opened.",
		[]field{provider, str("url", "is the address of the link.")}},
	{"Deep Link Clicked", "", "somebody has clicked on a link into the app.",
		[]field{provider, str("url", "is the address of the link.")}},
}
