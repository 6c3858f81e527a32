package wal

// What the tests need of the inside.
const (
	RingPage        = ringPage
	RingRecord      = ringRecord
	RingSpare       = ringSpare
	RingNext        = ringNext
	RingLeast       = ringLeast
	RingMost        = ringMost
	FrameHeader     = frameHeader
	RecordHeader    = recordHeader
	FrameMagic      = frameMagic
	SealSize        = sealSize
	CursorSlot      = cursorSlot
	RecentSize      = recentSize
	RecentRuns      = recentRuns
	ReadSize        = readSize
	PlaceEvery      = placeEvery
	MostBad         = mostBad
	MostBadFile     = mostBadFile
	MostIdentity    = mostIdentity
	MostName        = mostName
	CursorSuffix    = cursorSuffix
	CursorMagic     = cursorMagic
	IDName          = idName
	LockName        = lockName
	SegmentsDirName = segmentsDir
	CursorsDirName  = cursorsDir
	BadDirName      = badDir
)

// ErrFault is the error of a mapping that cannot be read or written.
var ErrFault = errFault

// Seeded is a checksum that begins with a salt.
func Seeded(salt uint32, b []byte) uint32 { return seeded(salt, b) }

// Salt is that of the frames.
func (s *Segment) Salt() uint32 { return s.salt }

// Guard runs f as what touches the mapping is run.
func (r *Ring) Guard(f func()) error { return r.guard(f) }

// SegmentFirst is the sequence number in the name of a file.
func SegmentFirst(name string) (uint64, bool) { return segmentFirst(name) }

// DestinationOf is the destination in the name of a file.
func DestinationOf(file, suffix string) (string, bool) { return destinationOf(file, suffix) }

// Kept is how much is in quarantine, as the slot counts it.
func (s *Slot) Kept() int64 { return s.bad }

// RingSum completes the checksum of a body.
func RingSum(body uint32, numbers []byte, first uint32) uint32 { return ringSum(body, numbers, first) }

// MemoryRing returns a ring that keeps nothing.
func MemoryRing(size int) *Ring {
	r := &Ring{all: make([]byte, ringPage+align(max(size, ringLeast)))}
	r.area = r.all[ringPage:]
	return r
}
