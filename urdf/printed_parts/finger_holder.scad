// Holds a GelSight Mini on one finger carriage of the Franka hand, in place of the finger.
// Frame: link `leftfinger` or `rightfinger`, turned so that +y points toward the other finger; +z
// points away from the hand. Frame `gel` is at [0, gel_inward, gel_height]; its z axis is +y and
// its y axis (down in the image) is +z: insert the sensor so. With gel_inward = 0 the gels touch
// when the hand is closed.
// Place and footprint of the carriage are those of the finger's collision model in
// franka_description; its screw holes are not published there: measure yours and enter them.
include <gelsight_mini.scad>

gel_inward = 0;
gel_height = 45;         // from the carriage to the middle of the gel
plate = [22, 15, 8];     // plate on the carriage: x, y, thickness
plate_y = -18.5;         // its middle
screws = [[-6, 0], [6, 0]];  // positions relative to the middle of the plate
screw = 4.3;             // clearance hole
screw_head = [7.5, 4];   // counterbore: diameter, depth
arm = 10;                // thickness of the arm behind the housing

seat = gel_inward - pad - body[2];  // y of the back of the housing
back = seat - wall - arm;

difference() {
    union() {
        translate([-plate[0] / 2, back, 0])
            cube([plate[0], plate_y + plate[1] / 2 - back, plate[2]]);
        translate([-plate[0] / 2, back, 0])
            cube([plate[0], arm + 0.01, gel_height + body[1] / 2]);
        translate([0, seat, gel_height]) rotate([-90, 0, 0]) rotate(-90) cup([body[1], body[0]]);
    }
    // Screws and their driver pass through the empty holder.
    for (position = screws) translate([position[0], plate_y + position[1], -1]) {
        cylinder(d = screw, h = plate[2] + 2);
        translate([0, 0, 1 + plate[2] - screw_head[1]])
            cylinder(d = screw_head[0], h = gel_height + body[1]);
    }
    // The plug and its cable pass through the arm.
    translate([-plug[1] / 2, back - 1, gel_height - plug[0] / 2])
        cube([plug[1], arm + wall + 2, plug[0]]);
}
