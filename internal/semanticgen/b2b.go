package main

var b2b = family{
	Package: "b2b",
	Title:   "B2B SaaS",
	Intro:   "Accounts, their users and trials. Each event should carry the account as `groupId` of its context.",
	Groups: []group{
		{"Accounts", accounts},
		{"Users", users},
		{"Trials", trials},
	},
}

var (
	accountName = []field{str("account_name", "is the name of the account.")}
	username    = str("username", "is the name that the user signs in with.")
)

var accounts = []event{
	{"Account Created", "", "an account was made.", accountName},
	{"Account Deleted", "", "an account was deleted.", accountName},
	{"Account Added User", "", "a user became part of an account.", []field{
		str("role", "is the role of the user in the account."),
	}},
	{"Account Removed User", "", "a user is no longer part of an account.", nil},
}

var users = []event{
	{"Signed Up", "", "a user has made a login.", []field{
		str("type", "is \"invited\" or \"organic\"."),
		str("first_name", "is the first name of the user."),
		str("last_name", "is the last name of the user."),
		str("email", "is the mail address of the user."),
		str("phone", "is the phone number of the user."),
		username,
		str("title", "is the position of the user in the company."),
	}},
	{"Signed In", "", "a user has signed in.", []field{username}},
	{"Signed Out", "", "a user has signed out. A client should also forget who the user is.", []field{username}},
	{"Invite Sent", "", "a user has invited another.", []field{
		str("invitee_email", "is the mail address of the invited."),
		str("invitee_first_name", "is the first name of the invited."),
		str("invitee_last_name", "is the last name of the invited."),
		str("invitee_role", "is the role that the invited will have."),
	}},
}

var trial = []field{
	date("trial_start_date", "is when the trial begins."),
	date("trial_end_date", "is when the trial ends."),
	str("trial_plan_name", "is the name of the plan that is tried."),
}

var trials = []event{
	{"Trial Started", "", "a trial has begun.", trial},
	{"Trial Ended", "", "a trial is over.", trial},
}
