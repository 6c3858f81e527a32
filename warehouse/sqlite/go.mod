module github.com/tributary-dev/analytics/warehouse/sqlite

go 1.25.0

require (
	github.com/ncruces/go-sqlite3 v0.35.3
	github.com/stretchr/testify v1.12.1
	github.com/tributary-dev/analytics v0.0.0
)

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/klauspost/compress v1.20.4 // indirect
	github.com/ncruces/go-sqlite3-wasm/v3 v3.2.35304 // indirect
	github.com/ncruces/julianday v1.0.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace github.com/tributary-dev/analytics => ../../
