// Tip of the indenter stand: a cap on the steel post of 12 mm, with a steel ball glued into its
// top. The upper end of the post is at z = 0; the touching point of the ball, frame
// `indenter_tip`, is at z = tip. Length of the post: tip_height - tip - 2 mm (floor of
// stand_base.scad).
ball = 5;               // diameter; indenter sphere:diameter=5
tip = 20;               // from the end of the post to the touching point
sunk = 0.4;             // fraction of the ball's diameter in the cap
post = 12;
cap = [20, 15];         // outer diameter, length on the post
nose = 3.6;             // diameter of the nose below the ball, smaller than the ball
set_screw = 3.3;        // core hole of one M4 set screw, to be tapped
$fn = 48;

rim = tip - ball * (1 - sunk);

difference() {
    union() {
        translate([0, 0, -cap[1]]) cylinder(d = cap[0], h = cap[1] + 3);
        translate([0, 0, 3]) cylinder(d1 = cap[0], d2 = nose + 2, h = rim - 3 - 4);
        translate([0, 0, rim - 4.01]) cylinder(d = nose + 2, h = 4.01);
    }
    translate([0, 0, -cap[1] - 1]) cylinder(d = post + 0.2, h = cap[1] + 1);
    translate([0, 0, tip - ball / 2]) sphere(d = ball + 0.1);
    translate([0, 0, -cap[1] / 2]) rotate([0, 90, 0]) cylinder(d = set_screw, h = cap[0]);
}
