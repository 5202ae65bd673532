"""Arrays with geometry: turning, resampling, outlines, pictures. numpy and scipy only."""
