// Measures that all parts share, in mm. Measure your sensor and enter its own values.

body = [32, 28, 24];   // housing without gel pad: along image x, image y, optical axis
pad = 4;               // gel pad in front of the housing
clearance = 0.3;       // per side, between housing and holder
wall = 4;
grip = 16;             // length of the housing that the holder encloses
plug = [14, 9];        // opening for the plug of the USB cable
clamp_screw = 3.4;     // clearance hole of the M3 clamp screws
clamp_nut = 5.5;       // width across flats of their nuts
$fn = 48;

lug = [5, 10];         // clamp lug: thickness, reach
slit = 2;

// Holder of the housing, open toward +z, with its clamp on the side +y. Its seat, the back of the
// housing, is at z = 0; frame `gel` is at z = body[2] + pad, its x axis is +x. `size` is the
// cross-section of the housing.
module cup(size = [body[0], body[1]]) {
    inner = size + 2 * clearance * [1, 1];
    outer = inner + 2 * wall * [1, 1];
    difference() {
        union() {
            translate([-outer[0] / 2, -outer[1] / 2, -wall]) cube([outer[0], outer[1], wall + grip]);
            translate([-slit / 2 - lug[0], outer[1] / 2 - 0.01, 0])
                cube([2 * lug[0] + slit, lug[1], grip]);
        }
        translate([-inner[0] / 2, -inner[1] / 2, 0]) cube([inner[0], inner[1], grip + 1]);
        translate([-slit / 2, inner[1] / 2 - 0.01, 0]) cube([slit, wall + lug[1] + 2, grip + 1]);
        translate([-plug[0] / 2, -plug[1] / 2, -wall - 1]) cube([plug[0], plug[1], wall + 2]);
        translate([0, outer[1] / 2 + lug[1] / 2, grip / 2]) rotate([0, 90, 0]) {
            cylinder(d = clamp_screw, h = 4 * lug[0], center = true);
            translate([0, 0, slit / 2 + lug[0] - 2.4])
                cylinder(d = clamp_nut / cos(30), h = lug[0], $fn = 6);
        }
    }
}
