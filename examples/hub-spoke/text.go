package main

import (
	"context"
	"strings"
)

// textInput is the input of text.wordcount and text.lines.
type textInput struct {
	Text *string `json:"text"`
}

// counts is the output of text.wordcount.
type counts struct {
	Words int `json:"words"`
	Lines int `json:"lines"`
	Bytes int `json:"bytes"`
}

func wordCount(_ context.Context, in textInput) (counts, error) {
	if in.Text == nil {
		return counts{}, missing(opWordCount, "text")
	}
	return countText(*in.Text), nil
}

func countText(text string) counts {
	c := counts{Lines: strings.Count(text, "\n"), Bytes: len(text)}
	if text != "" && !strings.HasSuffix(text, "\n") {
		c.Lines++ // the last line need not end
	}
	for range strings.FieldsSeq(text) {
		c.Words++
	}
	return c
}

// line is one answer of text.lines.
type line struct {
	Number int    `json:"number"`
	Line   string `json:"line"`
}

func sendLines(_ context.Context, in textInput, send func(line) error) error {
	if in.Text == nil {
		return missing(opLines, "text")
	}
	number := 0
	for text := range strings.Lines(*in.Text) {
		number++
		if err := send(line{number, strings.TrimSuffix(text, "\n")}); err != nil {
			return err
		}
	}
	return nil
}
