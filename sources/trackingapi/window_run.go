package trackingapi

import "time"

// log notes a change of a shard, which is locked, for the writer. Changes that do not fit,
// because the disk is slow or full, are not written.
func (w *Window) log(s *windowShard, id windowID, kind recordKind) {
	if s.room == 0 {
		return
	}
	if len(s.young) == s.room {
		s.unsaved++
		return
	}
	if cap(s.young) == 0 {
		s.young = make([]byte, 0, s.room)
	}
	if len(s.young) == 0 {
		select {
		case w.kick <- struct{}{}:
		default:
		}
	}
	s.young = w.store.format.append(s.young, id, kind)
}

// run writes what is claimed and removes what is over. While nothing happens it sleeps
// until the next generation is over.
func (w *Window) run() {
	defer close(w.gone)
	timer := time.NewTimer(w.nextTrim())
	defer timer.Stop()
	writing := false
	for {
		select {
		case <-w.kick:
			if !writing {
				writing = true
				timer.Reset(windowRound)
			}
		case <-timer.C:
			writing = w.round()
			switch {
			case w.store.last != nil:
				timer.Reset(windowRetry)
			case writing:
				timer.Reset(windowRound)
			default:
				timer.Reset(w.nextTrim())
			}
		case <-w.stop:
			w.finish()
			return
		}
	}
}

// round writes what is ripe, and tells whether there is more.
func (w *Window) round() (more bool) {
	s := w.store
	now := w.clock.now()
	if len(s.batch) > 0 { // the last attempt failed, and others have been waiting since
		more = true
	} else {
		for _, shard := range w.shards {
			more = w.take(shard) || more
		}
	}
	s.last = s.write(w.clock.until(now))
	s.trim(now, w.shards[0].span)
	s.buffer.Store(int64(cap(s.batch)))
	return more
}

// take moves the ripe changes of a shard into the batch, and tells whether others wait.
func (w *Window) take(s *windowShard) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.store.batch = append(w.store.batch, s.ripe...)
	s.young, s.ripe = s.ripe[:0], s.young
	return len(s.ripe) > 0
}

// finish writes everything, and lets the shards go on without the disk.
func (w *Window) finish() {
	for _, s := range w.shards {
		s.mu.Lock()
		w.store.batch = append(append(w.store.batch, s.ripe...), s.young...)
		s.room, s.young, s.ripe = 0, nil, nil
		s.mu.Unlock()
	}
	w.store.last = w.store.write(w.clock.until(w.clock.now()))
}

// nextTrim is how long until the oldest file is of no use.
func (w *Window) nextTrim() time.Duration {
	s := w.store
	if len(s.files) == 0 {
		return time.Hour
	}
	return max(time.Duration(s.files[0].until+w.shards[0].span-w.clock.now()), windowRound)
}
