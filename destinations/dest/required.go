package dest

import "github.com/tributary-dev/analytics"

// Required checks what the client has checked already: the fields that a call must
// have. A plugin in front of the destination may have taken one out.
func Required(e *analytics.Event) error {
	switch {
	case e.Type == analytics.CallTrack && e.Event == "":
		return missing("event")
	case e.Type == analytics.CallGroup && e.GroupID == "":
		return missing("groupId")
	case e.Type == analytics.CallAlias && e.UserID == "":
		return missing("userId")
	case e.Type == analytics.CallAlias && e.PreviousID == "":
		return missing("previousId")
	}
	return nil
}

func missing(field string) error { return &analytics.InvalidError{Field: field, Reason: "is missing"} }
