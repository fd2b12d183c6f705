// Style: the style sheet of the player. It is empty here; joining the modules into one script puts player.css in its place.

export const STYLE = "";
