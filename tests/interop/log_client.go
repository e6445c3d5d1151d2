// Verifies a log with the Go project's own client code: golang.org/x/mod/sumdb.
// Usage: log_client FOLDER VKEY. Prints the number of entries whose hashes were authenticated.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A tile's path as C2SP tlog-tiles writes it: without the height, and partial ones in a folder of their own.
func path(t tlog.Tile) string {
	n := t.Path()                             // tile/8/L/NNN[.p/W], or tile/8/data/NNN
	n = strings.TrimPrefix(n, "tile/8/")
	n = strings.Replace(n, "data/", "entries/", 1)
	return filepath.FromSlash("tile/" + n)
}

type reader struct{ folder string }

func (r reader) Height() int { return 8 }
func (r reader) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, t := range tiles {
		b, err := os.ReadFile(filepath.Join(r.folder, path(t)))
		if err != nil {
			return nil, err
		}
		data = append(data, b)
	}
	return data, nil
}
func (r reader) SaveTiles([]tlog.Tile, [][]byte) {}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	folder, vkey := os.Args[1], os.Args[2]
	verifier, err := note.NewVerifier(vkey)
	must(err)
	signed, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	must(err)
	opened, err := note.Open(signed, note.VerifierList(verifier))
	must(err)
	// The first line is the origin, where the checksum database has a fixed one.
	_, rest, _ := strings.Cut(opened.Text, "\n")
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + rest))
	must(err)
	hashes := tlog.TileHashReader(tree, reader{folder})
	for n := int64(0); n < tree.N; n += 256 {
		width := tree.N - n
		if width > 256 {
			width = 256
		}
		bundle, err := os.ReadFile(filepath.Join(folder, path(tlog.Tile{H: 8, L: -1, N: n / 256, W: int(width)})))
		must(err)
		var indexes []int64
		var want []tlog.Hash
		for i := int64(0); i < width; i++ {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				must(fmt.Errorf("bundle %d is cut off", n/256))
			}
			size := 2 + int(binary.BigEndian.Uint16(bundle))
			want = append(want, tlog.RecordHash(bundle[2:size]))
			indexes = append(indexes, tlog.StoredHashIndex(0, n+i))
			bundle = bundle[size:]
		}
		got, err := hashes.ReadHashes(indexes)
		must(err)
		for i := range got {
			if got[i] != want[i] {
				must(fmt.Errorf("entry %d is not the one that was logged", n+int64(i)))
			}
		}
	}
	fmt.Println(tree.N)
}
