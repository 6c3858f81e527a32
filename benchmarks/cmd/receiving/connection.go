package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// connection sends one request after the other. It does as little as can be, so that the
// two cores are left to the server.
type connection struct {
	net.Conn
	in  *bufio.Reader
	out []byte
}

func dial(address string) (*connection, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: c, in: bufio.NewReader(c)}, nil
}

// post sends a batch and returns the answer, whose body has been read.
func (c *connection) post(body []byte, encoding string) (*http.Response, error) {
	c.out = append(c.out[:0], "POST /v1/batch HTTP/1.1\r\nHost: collector.example\r\nContent-Type: application/json\r\nUser-Agent: node\r\n"...)
	if encoding != "" {
		c.out = append(append(append(c.out, "Content-Encoding: "...), encoding...), '\r', '\n')
	}
	c.out = append(strconv.AppendInt(append(c.out, "Content-Length: "...), int64(len(body)), 10), "\r\n\r\n"...)
	c.out = append(c.out, body...)
	if _, err := c.Write(c.out); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK && !bytes.HasPrefix(answer, []byte(`{"success":true}`)) {
		return nil, fmt.Errorf("the answer is %q", answer)
	}
	return res, nil
}
