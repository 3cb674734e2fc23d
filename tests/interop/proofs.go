package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// verifyProofs checks every INDEX.entry of a folder by INDEX.tlog-proof beside it (C2SP tlog-proof), and by nothing else
// but the log's key: the proof brings its own checkpoint. It returns how many there are.
func verifyProofs(folder, vkey string) (int, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.entry"))
	if err != nil {
		return 0, err
	}
	if len(paths) == 0 {
		return 0, errors.New("no entries")
	}
	for _, path := range paths {
		if err := verifyProof(path, vkey); err != nil {
			return 0, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	return len(paths), nil
}

func verifyProof(path, vkey string) error {
	stem := strings.TrimSuffix(path, ".entry")
	entry, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	body, err := os.ReadFile(stem + ".tlog-proof")
	if err != nil {
		return err
	}
	index, proof, checkpoint, err := readProof(body)
	if err != nil {
		return err
	}
	if filepath.Base(stem) != strconv.FormatInt(index, 10) {
		return fmt.Errorf("the proof is of entry %d", index)
	}
	tree, err := openCheckpoint(checkpoint, vkey)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

// readProof takes a tlog-proof apart: a header, a line that may be there and proves nothing, the index, the hashes, an
// empty line, the checkpoint.
func readProof(body []byte) (int64, tlog.RecordProof, []byte, error) {
	head, checkpoint, found := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !found || lines[0] != "c2sp.org/tlog-proof@v1" {
		return 0, nil, nil, errors.New("no tlog-proof")
	}
	lines = lines[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return 0, nil, nil, errors.New("no index")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "index "), 10, 64)
	if err != nil || index < 0 {
		return 0, nil, nil, fmt.Errorf("index %q", lines[0])
	}
	var proof tlog.RecordProof
	for _, line := range lines[1:] {
		raw, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(raw) != tlog.HashSize {
			return 0, nil, nil, fmt.Errorf("hash %q", line)
		}
		proof = append(proof, tlog.Hash(raw))
	}
	return index, proof, checkpoint, nil
}
