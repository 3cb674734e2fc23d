// Command verify checks a log with code that is none of ours: Go's golang.org/x/mod/sumdb/note reads and verifies the
// checkpoint, sumdb/tlog the tree. What is left to this program is to fetch or read files, and to translate names.
//
//	verify URL VKEY             a whole log, over HTTP
//	verify -proofs FOLDER VKEY  entries that each have a proof; see proofs.go
//
// Of a whole log it fetches URL/checkpoint and verifies the log's signature; reads every leaf of the tree from tiles that
// tlog.TileHashReader checks against the checkpoint's root; compares the hash of every entry of every bundle with it;
// makes and checks inclusion proofs, and consistency proofs from earlier sizes; and builds the tree from the entries
// anew, to compare its root and every one of its tiles, which TileHashReader only reads as far as it needs them (and
// before v0.40.0 did not always check: CVE-2026-56865). It prints one line, and exits with status 0 if all of that
// holds, and 1 if anything does not.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Of a tile, and of entries in a bundle: 2 to the power of this.
const height = 8

// More than the largest bundle: 256 entries of 65,535 bytes, each after its length.
const mostBytes = 256*(2+65535) + 1

var client = &http.Client{Timeout: 60 * time.Second}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "-proofs" {
		count, err := verifyProofs(os.Args[2], os.Args[3])
		if err != nil {
			fmt.Println("FAILED:", err)
			os.Exit(1)
		}
		fmt.Printf("OK: %d proofs\n", count)
		return
	}
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: verify URL VKEY, or verify -proofs FOLDER VKEY")
		os.Exit(2)
	}
	tree, err := verify(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Println("FAILED:", err)
		os.Exit(1)
	}
	fmt.Printf("OK: %d entries, root %s\n", tree.N, tree.Hash)
}

func verify(url, vkey string) (tlog.Tree, error) {
	tree, err := checkpoint(url, vkey)
	if err != nil {
		return tree, err
	}
	fetched := tiles{url, map[string][]byte{}}
	reader := tlog.TileHashReader(tree, fetched)
	leaves, err := entries(url, tree, reader)
	if err != nil {
		return tree, err
	}
	if err := inclusion(tree, reader); err != nil {
		return tree, err
	}
	if err := consistency(tree, reader); err != nil {
		return tree, err
	}
	return tree, rebuild(tree, leaves, fetched)
}

// checkpoint fetches what the log has signed.
func checkpoint(url, vkey string) (tlog.Tree, error) {
	body, err := fetch(url + "/checkpoint")
	if err != nil {
		return tlog.Tree{}, err
	}
	return openCheckpoint(body, vkey)
}

// openCheckpoint reads what the log has signed (C2SP tlog-checkpoint): origin, size and root, a line each.
func openCheckpoint(body []byte, vkey string) (tlog.Tree, error) {
	var tree tlog.Tree
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tree, fmt.Errorf("vkey: %w", err)
	}
	signed, err := note.Open(body, note.VerifierList(verifier))
	if err != nil {
		return tree, fmt.Errorf("checkpoint: %w", err)
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("checkpoint: %q is no checkpoint of %s", signed.Text, verifier.Name())
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil || tree.N < 1 {
		return tree, fmt.Errorf("checkpoint: size %q", lines[1])
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tree, fmt.Errorf("checkpoint: root %q", lines[2])
	}
	copy(tree.Hash[:], root)
	return tree, nil
}

// entries compares the entries of every bundle with the leaves of the tree; returns the hashes of the entries.
func entries(url string, tree tlog.Tree, reader tlog.HashReader) ([]tlog.Hash, error) {
	var leaves []tlog.Hash
	for first := int64(0); first < tree.N; first += 1 << height {
		width := tree.N - first
		if width > 1<<height {
			width = 1 << height
		}
		tile := tlog.Tile{H: height, L: -1, N: first >> height, W: int(width)}
		bundle, err := fetch(url + "/" + name(tile))
		if err != nil {
			return nil, err
		}
		indexes := make([]int64, width)
		for i := range indexes {
			indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
		}
		hashes, err := reader.ReadHashes(indexes)
		if err != nil {
			return nil, err
		}
		for i, hash := range hashes {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return nil, fmt.Errorf("%s: ends within entry %d", name(tile), first+int64(i))
			}
			end := 2 + int(binary.BigEndian.Uint16(bundle))
			leaf := tlog.RecordHash(bundle[2:end])
			if leaf != hash {
				return nil, fmt.Errorf("%s: entry %d is not in the tree", name(tile), first+int64(i))
			}
			leaves = append(leaves, leaf)
			bundle = bundle[end:]
		}
		if len(bundle) != 0 {
			return nil, fmt.Errorf("%s: %d bytes behind the last entry", name(tile), len(bundle))
		}
	}
	return leaves, nil
}

// inclusion makes and checks proofs for the first and last entries, those beside the edges of tiles, and some between.
func inclusion(tree tlog.Tree, reader tlog.HashReader) error {
	indexes := map[int64]bool{0: true, tree.N - 1: true}
	for i := int64(1); i < 256; i++ {
		indexes[tree.N*i/256] = true
	}
	for _, edge := range []int64{1 << height, 1 << (2 * height), tree.N &^ (1<<height - 1)} {
		indexes[edge-1], indexes[edge] = true, true
	}
	for index := range indexes {
		if index < 0 || index >= tree.N {
			continue
		}
		hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		if err != nil {
			return err
		}
		proof, err := tlog.ProveRecord(tree.N, index, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, hashes[0]); err != nil {
			return fmt.Errorf("inclusion of entry %d: %w", index, err)
		}
	}
	return nil
}

// consistency makes and checks proofs that the tree continues earlier ones.
func consistency(tree tlog.Tree, reader tlog.HashReader) error {
	for _, size := range []int64{1, tree.N / 3, 1 << height, 1 << (2 * height), tree.N - 1, tree.N} {
		if size < 1 || size > tree.N {
			continue
		}
		earlier, err := tlog.TreeHash(size, reader)
		if err != nil {
			return err
		}
		proof, err := tlog.ProveTree(tree.N, size, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, size, earlier); err != nil {
			return fmt.Errorf("consistency with size %d: %w", size, err)
		}
	}
	return nil
}

// rebuild builds the tree from the entries, and compares its root and all its tiles with the log's.
func rebuild(tree tlog.Tree, leaves []tlog.Hash, fetched tiles) error {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	for n, leaf := range leaves {
		hashes, err := tlog.StoredHashesForRecordHash(int64(n), leaf, reader)
		if err != nil {
			return err
		}
		stored = append(stored, hashes...)
	}
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return fmt.Errorf("root over the entries: %s, signed is %s", root, tree.Hash)
	}
	for _, tile := range tlog.NewTiles(height, 0, tree.N) {
		expected, err := tlog.ReadTileData(tile, reader)
		if err != nil {
			return err
		}
		given, err := fetched.ReadTiles([]tlog.Tile{tile})
		if err != nil {
			return err
		}
		if !bytes.Equal(given[0], expected) {
			return fmt.Errorf("%s: not the tree's hashes", name(tile))
		}
	}
	return nil
}

// tiles is a tlog.TileReader over HTTP that fetches each tile once. It believes nothing: the one who reads it checks.
type tiles struct {
	url     string
	fetched map[string][]byte
}

func (t tiles) Height() int { return height }

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(wanted))
	for i, tile := range wanted {
		path := name(tile)
		if _, there := t.fetched[path]; !there {
			body, err := fetch(t.url + "/" + path)
			if err != nil {
				return nil, err
			}
			t.fetched[path] = body
		}
		data[i] = t.fetched[path]
	}
	return data, nil
}

// name is the path of a tile by C2SP tlog-tiles, which has no height in it, and other words for the level of entries.
func name(tile tlog.Tile) string {
	path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
	if strings.HasPrefix(path, "data/") {
		path = "entries/" + strings.TrimPrefix(path, "data/")
	}
	return "tile/" + path
}

func fetch(url string) ([]byte, error) {
	answer, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, mostBytes))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	if len(body) == mostBytes {
		return nil, errors.New(url + ": too long")
	}
	return body, nil
}
