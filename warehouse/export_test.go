package warehouse

// SetParts has an open destination offer rows to the store after so many events, from so
// many rows of a table on.
func (d *Destination) SetParts(events, rows int) {
	d.loader.batch.part, d.loader.batch.partRows = events, rows
}
