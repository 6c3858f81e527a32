package archive

import (
	"cmp"
	"errors"
	"path/filepath"

	"github.com/tributary-dev/analytics"
)

// check finds the faults of the settings.
func (d *Destination) check() error {
	var errs []error
	fault := func(field, reason string) {
		errs = append(errs, &analytics.InvalidError{Field: field, Reason: reason})
	}
	d.dir = d.Dir
	folder, local := d.Bucket.(*Folder)
	switch {
	case d.Bucket == nil:
		fault("Bucket", "is required")
	case local && (folder == nil || folder.Path == ""):
		fault("Bucket", "is a Folder without Path")
	case local:
		d.dir = cmp.Or(d.Dir, filepath.Join(folder.Path, partsFolder))
	case d.Dir == "":
		fault("Dir", "is required: unfinished files are kept there")
	}
	if d.Layout != "" && d.Layout != Segment && d.Layout != Hive {
		fault("Layout", "is neither segment nor hive")
	}
	if d.Compression != "" && d.Compression != Gzip && d.Compression != Zstd {
		fault("Compression", "is neither gzip nor zstd")
	}
	if reason := prefixFault(d.prefix(), local); reason != "" {
		fault("Prefix", reason)
	}
	for _, n := range []struct {
		field string
		n     int64
	}{{"Every", int64(d.Every)}, {"MaxBytes", d.MaxBytes}, {"MaxAge", int64(d.MaxAge)}} {
		if n.n < 0 {
			fault(n.field, "is negative")
		}
	}
	return errors.Join(errs...)
}
