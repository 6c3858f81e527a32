package main

import (
	"fmt"
	"time"
)

type archiveReplay struct {
	archiveAt
	To     string   `required:"" placeholder:"TARGET" help:"Where to: cloud; warehouse, whose address is in $$ANALYTICS_WAREHOUSE; or an address like those of warehouse --store."`
	Source []string `sep:"none" placeholder:"NAME" help:"Only events of this source."`
	archiveQuery
	WarehouseSource string `placeholder:"NAME" help:"Source in the warehouse, which is the schema of the tables."`
	Warehouse       string `env:"ANALYTICS_WAREHOUSE" hidden:""`
	cloudAt
	sending
}

// sending are the flags of the commands that send what an archive has.
type sending struct {
	Rate        int           `help:"At most so many events a second; 0 is no limit."`
	State       string        `placeholder:"FILE" help:"File that keeps how far it has come, so that the same command goes on there when it ended early. It is removed at the end."`
	SkipDamaged bool          `help:"Go on behind damaged files: what is in front of the damage is sent, each is named, and the exit code is 1."`
	Timeout     time.Duration `default:"24h" help:"Give up after so long."`
	Yes         bool          `help:"Do it. Without it the command says what it would do."`
}

// Run replays.
func (cmd *archiveReplay) Run(c *command) error {
	to, err := cmd.target(c)
	if err != nil {
		return err
	}
	a, err := cmd.open()
	if err != nil {
		return err
	}
	r := shipment{c: c, archive: a, query: cmd.query(cmd.Source), whole: cmd.whole(), sending: cmd.sending, to: to, verb: "replay", past: "replayed"}
	return r.run(cmd.Dir, cmd.Prefix)
}

func (cmd *archiveReplay) target(c *command) (t target, err error) {
	switch {
	case cmd.To == "cloud":
		if cmd.Yes && cmd.WriteKey == "" {
			return t, errNoWriteKey
		}
		return cmd.cloudAt.target(c), nil
	case cmd.To == "warehouse" && cmd.Warehouse == "":
		return t, fmt.Errorf("%w: give the address of the warehouse in ANALYTICS_WAREHOUSE", errUsage)
	case cmd.To == "warehouse":
		return warehouseTarget(cmd.Warehouse, cmd.WarehouseSource)
	case isDatabase(cmd.To):
		return warehouseTarget(cmd.To, cmd.WarehouseSource)
	}
	return t, fmt.Errorf("%w: --to is none of cloud, warehouse, %s", errUsage, addressForms)
}
