package main

type warehouseSync struct {
	Store         string   `env:"ANALYTICS_WAREHOUSE" required:"" placeholder:"ADDRESS" help:"Database, as in warehouse status. A file of SQLite is made where it is missing."`
	Source        string   `help:"Source, which is the schema of the tables. Empty means the one that destinations have without a source."`
	Archive       string   `required:"" placeholder:"DIR" help:"Folder of the archive."`
	Prefix        string   `help:"What is in front of the keys of the archive, as the destination has it."`
	ArchiveSource []string `sep:"none" placeholder:"NAME" help:"Only events of this source of the archive."`
	archiveQuery
	sending
}

// Run loads what an archive has. Events that are in the tables stay as they are.
func (cmd *warehouseSync) Run(c *command) error {
	to, err := warehouseTarget(cmd.Store, cmd.Source)
	if err != nil {
		return err
	}
	a, err := archiveIn(cmd.Archive, cmd.Prefix)
	if err != nil {
		return err
	}
	s := shipment{c: c, archive: a, query: cmd.query(cmd.ArchiveSource), whole: cmd.whole(), sending: cmd.sending, to: to, verb: "load", past: "loaded"}
	return s.run(cmd.Archive, cmd.Prefix)
}
