// Base of the indenter stand: clamps a steel post of 12 mm upright on a table with a 25 mm grid
// of holes. The table is the plane z = 0; frame `indenter_tip` is at z = tip_height of
// stand_tip.scad.
plate = [120, 120, 10];
hole_grid = 100;        // between the four screws in the corners
screw = 6.6;            // M6
post = 12;
hub = [34, 40];         // diameter, height above the table
floor_thickness = 2;    // below the post
set_screw = 3.3;        // core hole of two M4 set screws, to be tapped
$fn = 48;

difference() {
    union() {
        translate([-plate[0] / 2, -plate[1] / 2, 0]) cube(plate);
        cylinder(d = hub[0], h = hub[1]);
    }
    translate([0, 0, floor_thickness]) cylinder(d = post + 0.2, h = hub[1]);
    for (x = [-1, 1], y = [-1, 1]) translate([x, y, 0] * hole_grid / 2)
        translate([0, 0, -1]) cylinder(d = screw, h = plate[2] + 2);
    for (angle = [0, 90]) rotate(angle) translate([0, 0, hub[1] - 10]) rotate([0, 90, 0])
        cylinder(d = set_screw, h = hub[0]);
}
