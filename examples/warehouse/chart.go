package main

import (
	"errors"
	"fmt"
	"image/color"
	"os"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	canvas "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// The size of the chart, and how many pixels an inch of it has.
const (
	chartWidth  = 10 * vg.Inch
	chartHeight = 7.5 * vg.Inch
	margin      = 0.2 * vg.Inch
	dpi         = 144
)

var (
	green = color.RGBA{R: 0x2f, G: 0x6f, B: 0x5e, A: 0xff}
	ochre = color.RGBA{R: 0xc9, G: 0x83, B: 0x2b, A: 0xff}
	pale  = color.RGBA{R: 0xe4, G: 0xe4, B: 0xe0, A: 0xff}
)

// draw writes a PNG with the revenue by hour above the funnel.
func draw(name string, day time.Time, a answers) (err error) {
	revenue, err := revenuePlot(day, a.hours)
	if err != nil {
		return err
	}
	visitors, err := funnelPlot(a.funnel)
	if err != nil {
		return err
	}
	picture := vgimg.NewWith(vgimg.UseWH(chartWidth, chartHeight), vgimg.UseDPI(dpi))
	plots := [][]*plot.Plot{{revenue}, {visitors}}
	tiles := canvas.Tiles{Rows: 2, Cols: 1, PadTop: margin, PadBottom: margin, PadLeft: margin, PadRight: margin, PadY: 2 * margin}
	for i, row := range plot.Align(plots, tiles, canvas.New(picture)) {
		plots[i][0].Draw(row[0])
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = vgimg.PngCanvas{Canvas: picture}.WriteTo(file)
	return err
}

// sans is the font of all text, which the library has with it: the chart is the same
// everywhere.
func sans(points float64) font.Font {
	f := plot.DefaultFont
	f.Variant, f.Size = "Sans", vg.Points(points)
	return f
}

func newPlot(title string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.Title.Padding = vg.Points(8)
	p.Title.TextStyle.Font = sans(15)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font = sans(11)
		axis.Label.Padding = vg.Points(5)
		axis.Tick.Label.Font = sans(10)
	}
	return p
}

// revenuePlot has a bar for each hour of the day, also for those without an order.
func revenuePlot(day time.Time, hours []hour) (*plot.Plot, error) {
	p := newPlot("Revenue by hour, " + day.Format("2 January 2006"))
	p.X.Label.Text, p.Y.Label.Text = "Hour of the day (UTC)", "Revenue (EUR)"

	values := make(plotter.Values, 24)
	labels := plotter.XYLabels{}
	for _, h := range hours {
		values[h.of] = h.revenue
		labels.XYs = append(labels.XYs, plotter.XY{X: float64(h.of), Y: h.revenue})
		labels.Labels = append(labels.Labels, grouped(int(h.revenue+0.5)))
	}
	bars, err := plotter.NewBarChart(values, vg.Points(18))
	if err != nil {
		return nil, err
	}
	bars.Color, bars.LineStyle.Width = green, 0
	above, err := newLabels(labels, text.XCenter, text.YBottom, vg.Point{Y: vg.Points(3)})
	if err != nil {
		return nil, err
	}
	grid := plotter.NewGrid()
	grid.Vertical.Width, grid.Horizontal.Color = 0, pale
	p.Add(grid, bars, above)

	var ticks plot.ConstantTicks
	for h := range 24 {
		ticks = append(ticks, plot.Tick{Value: float64(h), Label: fmt.Sprintf("%02d", h)})
	}
	p.X.Tick.Marker, p.X.Min, p.X.Max = ticks, -0.6, 23.6
	p.X.Tick.Length, p.X.Padding, p.Y.Padding = 0, 0, 0
	p.Y.Tick.Marker, p.Y.Min, p.Y.Max = every(5000), 0, 1.12*slices.Max(values)
	return p, nil
}

// every marks the multiples of step.
func every(step int) plot.Ticker {
	return plot.TickerFunc(func(_, high float64) (ticks []plot.Tick) {
		for n := 0; float64(n) <= high; n += step {
			ticks = append(ticks, plot.Tick{Value: float64(n), Label: grouped(n)})
		}
		return ticks
	})
}

// funnelPlot has the first step at the top.
func funnelPlot(visitors [len(steps)]int) (*plot.Plot, error) {
	p := newPlot("From looking to buying")
	p.X.Label.Text = "Visitors who took the step and all before it"

	values := make(plotter.Values, len(steps))
	names := make([]string, len(steps))
	labels := plotter.XYLabels{}
	for i, n := range visitors {
		place := len(steps) - 1 - i
		values[place], names[place] = float64(n), steps[i]
		label := grouped(n)
		if i > 0 {
			label += fmt.Sprintf("  (%s of the step before)", percent(n, visitors[i-1]))
		}
		labels.XYs = append(labels.XYs, plotter.XY{X: float64(n), Y: float64(place)})
		labels.Labels = append(labels.Labels, label)
	}
	bars, err := plotter.NewBarChart(values, vg.Points(26))
	if err != nil {
		return nil, err
	}
	bars.Horizontal, bars.Color, bars.LineStyle.Width = true, ochre, 0
	beside, err := newLabels(labels, text.XLeft, text.YCenter, vg.Point{X: vg.Points(5)})
	if err != nil {
		return nil, err
	}
	grid := plotter.NewGrid()
	grid.Horizontal.Width, grid.Vertical.Color = 0, pale
	p.Add(grid, bars, beside)
	p.NominalY(names...)
	p.X.Tick.Marker, p.X.Min, p.X.Max = every(25), 0, 1.08*float64(visitors[0])
	p.Y.Min, p.Y.Max = -0.6, float64(len(steps))-0.4
	p.X.Padding, p.Y.Padding = 0, 0
	return p, nil
}

func newLabels(at plotter.XYLabels, x text.XAlignment, y text.YAlignment, offset vg.Point) (*plotter.Labels, error) {
	labels, err := plotter.NewLabels(at)
	if err != nil {
		return nil, err
	}
	labels.Offset = offset
	for i := range labels.TextStyle {
		style := &labels.TextStyle[i]
		style.Font, style.XAlign, style.YAlign = sans(9.5), x, y
	}
	return labels, nil
}
